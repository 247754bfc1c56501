"""The lines of `offline` in SQLite FTS5, for ADR 20: python3 docs/adr/0020-fts5.py /tmp/directory-offline/extraction.txt"""
import os, resource, sqlite3, sys, tempfile, time, unicodedata

def fold(text):
    plain = unicodedata.normalize("NFKD", text.lower())
    return "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))

path = os.path.join(tempfile.mkdtemp(), "fts.db")
began, used = time.time(), time.process_time()
rows = []
with open(sys.argv[1], encoding="utf-8") as lines:
    next(lines)
    for line in lines:
        c = line.rstrip("\n").split("|")
        rows.append((fold(c[9]) or fold(c[18]), fold(c[10]), fold(c[18] + " " + c[7]), c[1].lower(), c[13] + " " + fold(c[14]),
                     c[15].lower() + " " + fold(c[16]), fold(c[27][5:]), c[28], c[28][:2], c[6], c[3], line))
rows.sort(key=lambda r: r[:4])
db = sqlite3.connect(path)
db.executescript("""PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;
CREATE TABLE entry (id INTEGER PRIMARY KEY, line TEXT);
CREATE VIRTUAL TABLE word USING fts5(name, given, structure, address, profession, speciality, city, postal, department, finess, rpps,
  content='', prefix='1 2 3', detail=column);""")
db.executemany("INSERT INTO entry VALUES (?, ?)", ((i, r[11]) for i, r in enumerate(rows)))
db.executemany("INSERT INTO word (rowid, name, given, structure, address, profession, speciality, city, postal, department, finess, rpps)"
               " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", ((i,) + tuple(r[:11]) for i, r in enumerate(rows)))
db.commit()
print(f"made in {time.time()-began:.1f} s ({time.process_time()-used:.1f} s of processor), "
      f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1000} MB (Python's rows among them), {os.path.getsize(path)//10**6} MB on disk")
one = next(r for r in rows if r[8] == "69" and r[10])
for what, query in [("name", f"name:{one[0].split()[0]}*"), ("three letters of a name", f"name:{one[0][:3]}*"),
                    ("one letter of a name, département", f"name:{one[0][0]}* AND department:69"),
                    ("speciality, département", "speciality:cardio* AND department:69"), ("profession", "profession:10*"),
                    ("structure", " AND ".join(f"structure:{w}*" for w in one[2].split())), ("RPPS", f"rpps:{one[10]}")]:
    times = []
    while len(times) < 50:
        start, cpu = time.perf_counter(), time.process_time()
        found = db.execute("SELECT line FROM entry WHERE id IN (SELECT rowid FROM word WHERE word MATCH ? ORDER BY rowid LIMIT 50)", (query,)).fetchall()
        times.append((time.perf_counter() - start, time.process_time() - cpu))
    times.sort()
    print(f"{what:<36} {len(found):>5} {times[25][0]*1e6:>10.0f} µs, {sum(t[1] for t in times)/50*1e6:>8.0f} µs of processor")
