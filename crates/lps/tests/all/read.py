"""Mails that Python's email makes, honest and hostile, each with what it was made from: NAME.eml and NAME.json in the folder given."""

import base64, io, json, sys, zipfile
from email import message_from_bytes
from email.message import EmailMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTP
from pathlib import Path

folder = Path(sys.argv[1])


def begin(subject, sender="Éloïse Lœwe <eloise@alpha.formation.mssante.fr>"):
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = "b@beta.formation.mssante.fr"
    mail["Subject"] = subject
    mail["Message-ID"] = "<1@alpha>"
    return mail


def put(name, mail, **expected):
    octets = mail if isinstance(mail, bytes) else mail.as_bytes(policy=SMTP)
    (folder / f"{name}.eml").write_bytes(octets)
    (folder / f"{name}.json").write_text(json.dumps(expected))


# Subjects and texts in every shape that Python encodes.
for rank, words in enumerate(["Été à l'hôpital", "日本語の件名 " * 20, "=?utf-8?q?faux?= mot", "x" * 300, "€ œ ß", "مرحبا"]):
    mail = begin(words)
    mail.set_content(f"Bonjour,\n{words}\n.point\nFrom début\n")
    # What Python itself reads back is what is right: it leaves words that look encoded as they are.
    subject = str(message_from_bytes(mail.as_bytes(policy=SMTP), policy=SMTP)["Subject"])
    put(f"text{rank}", mail, subject=" ".join(subject.split()), text=f"Bonjour,\n{words}\n.point\nFrom début".replace(" \n", "\n"), warnings=[])
for charset in ["utf-8", "iso-8859-1", "windows-1252", "iso-8859-15"]:
    for encoding in ["quoted-printable", "base64", "8bit"]:
        mail = begin("x")
        mail.set_content("œuvre à 5 €" if charset not in ("iso-8859-1",) else "été à l'hôpital", charset=charset, cte=encoding)
        put(f"{charset}-{encoding}", mail, text="œuvre à 5 €" if charset not in ("iso-8859-1",) else "été à l'hôpital")
# Alternatives, pictures, attachments with difficult names.
mail = begin("pièces")
mail.set_content("simple")
mail.add_alternative("<p>riche</p><img src='cid:p'>", subtype="html")
mail.get_payload()[1].add_related(b"PNG", "image", "png", cid="<p>")
names = ["résumé d'été.pdf", "../../etc/passwd", "a" * 200 + ".txt", "quote\".doc", "日本.txt", "CON", "..", ".ssh"]
for name in names:
    mail.add_attachment(name.encode() * 3, maintype="application", subtype="octet-stream", filename=name)
put("attached", mail, text="simple", contents=sorted([base64.b64encode(name.encode() * 3).decode() for name in names] + [base64.b64encode(b"PNG").decode()]))
# Archives made to harm.
def archive(files, **options):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, octets in files:
            made.writestr(name, octets, **options)
    return out.getvalue()


metadata = '<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0" xmlns:rim="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0">%s</lcm:SubmitObjectsRequest>'
hostile = {
    "bomb": archive([("IHE_XDM/S/METADATA.XML", b"<a/>"), ("IHE_XDM/S/A.XML", b"\0" * 30_000_000)]),
    "climbing": archive([("../../tmp/evil", b"x"), ("IHE_XDM/S/METADATA.XML", b"<a/>")]),
    "absolute": archive([("/etc/passwd", b"x")]),
    "many": archive([(f"F{n}", b"") for n in range(5000)]),
    "entities": archive([("IHE_XDM/S/METADATA.XML", b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>')]),
    "empty": archive([]),
    "no-zip": b"%PDF-1.4",
    "deep": archive([("IHE_XDM/S/METADATA.XML", b"<a>" * 100_000)]),
    "nothing-described": archive([("IHE_XDM/S/METADATA.XML", (metadata % "").encode())]),
}
for name, octets in hostile.items():
    mail = begin("XDM/1.0/DDM+CR DUPONT")
    mail.set_content("x")
    mail.add_attachment(octets, maintype="application", subtype="zip", filename="IHE_XDM.zip")
    put(f"archive-{name}", mail, warnings=[] if name == "nothing-described" else ["archive"])
# Structures made to harm.
put("deep", b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000)) + b"\r\nfond\r\n")
wide = MIMEMultipart()
for _ in range(20_000):
    wide.attach(MIMEText("x"))
put("wide", wide.as_bytes())
same = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 5000
put("same-boundary", same)
put("no-end", b"Subject: x\r\nContent-Type: multipart/mixed; boundary=" + b"b" * 5000 + b"\r\n\r\n--" + b"b" * 5000)
put("headers", b"X: y\r\n" * 200_000 + b"\r\n")
put("one-field", b"To: " + b"a@b.fr," * 200_000 + b"\r\n\r\n")
put("parameters", b"Content-Type: text/plain" + b"".join(b"; n*%d=x" % n for n in range(50_000)) + b"\r\n\r\nx")
put("nul", b"Subject: a\0b\r\n\r\n\0\x1b[2J\x07texte\r\n", subject="ab", text="[2Jtexte")
