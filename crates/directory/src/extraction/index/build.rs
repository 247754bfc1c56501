//! Making an index: lines become records, records are put in their final order, their words become the dictionary.
//!
//! Memory: the records and their order (some 300 octets each), the words, one number of eight octets for each word of each record;
//! `docs/adr/0020` has what that is for the whole extraction.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::SystemTime;

use super::format::{Cursor, Field, KEYS, MAGIC, MAX_RECORDS, RECORDS, key, put, put_octets};
use super::{Facts, record};
use crate::entry::{Coded, Entry, Source};
use crate::extraction::columns::Line;
use crate::extraction::error::ExtractionError;
use crate::fold::{city_words, words};
use crate::order;
use crate::query::structure_number;

/// Gathers entries and writes the index.
pub(in crate::extraction) struct Builder {
    seen: SystemTime,
    /// Encoded entries; those that were added to stand at the end again.
    records: Vec<u8>,
    /// Where each entry is among `records`, and where its order among `orders`.
    places: Vec<Place>,
    /// What entries are sorted by.
    orders: Vec<u8>,
    /// The first entry of each mailbox and holder, by hash; checked before it is believed.
    known: HashMap<u64, u32>,
}

#[derive(Clone, Copy)]
struct Place {
    record: usize,
    order: usize,
    order_end: usize,
}

impl Builder {
    pub fn new(seen: SystemTime) -> Builder {
        Builder { seen, records: Vec::new(), places: Vec::new(), orders: Vec::new(), known: HashMap::new() }
    }

    /// Takes a line; one more of a mailbox that is known is added to its entry.
    pub fn add(&mut self, line: Line) {
        let entry = Entry {
            address: line.address,
            kind: line.kind,
            person: line.person,
            sites: Some(line.site).filter(|site| !site.is_empty()).into_iter().collect(),
            description: String::new(),
            red_list: false,
            paperless: line.paperless,
            source: Source::Extraction,
            seen: self.seen,
        };
        let identity = order::identity(&entry);
        let mut hasher = DefaultHasher::new();
        identity.hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(&at) = self.known.get(&hash)
            && let Some(mut first) = self.entry(at as usize)
            && order::identity(&first) == identity
        {
            order::absorb(&mut first, entry);
            self.places[at as usize] = self.store(&first);
        } else if self.places.len() < MAX_RECORDS {
            // Two mailboxes of one hash stay two entries.
            self.known.entry(hash).or_insert(self.places.len() as u32);
            let place = self.store(&entry);
            self.places.push(place);
        }
    }

    /// Entries so far.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    fn store(&mut self, entry: &Entry) -> Place {
        let (record, order) = (self.records.len(), self.orders.len());
        record::write(entry, &mut self.records);
        for part in order::key(entry) {
            self.orders.extend_from_slice(part.as_bytes());
            // Below every character of a folded text: a name before those it begins.
            self.orders.push(0);
        }
        Place { record, order, order_end: self.orders.len() }
    }

    fn entry(&self, at: usize) -> Option<Entry> {
        record::read(&mut Cursor(self.records.get(self.places.get(at)?.record..)?), self.seen)
    }

    /// Writes the index beside `path`, then renames it: whoever has the older one open keeps it.
    pub fn finish(mut self, path: &Path, mut facts: Facts) -> Result<Facts, ExtractionError> {
        facts.entries = self.places.len() as u64;
        let mut places = std::mem::take(&mut self.places);
        let orders = std::mem::take(&mut self.orders);
        places.sort_by(|a, b| orders[a.order..a.order_end].cmp(&orders[b.order..b.order_end]));
        drop((orders, std::mem::take(&mut self.known)));

        let failed = |error| ExtractionError::File { path: path.to_owned(), error };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let file = tempfile::Builder::new().prefix(".directory-").tempfile_in(folder).map_err(failed)?;
        let mut out = Output { file: BufWriter::with_capacity(1 << 18, file), at: 0 };
        self.write(&places, &facts, &mut out).map_err(failed)?;
        let file = out.file.into_inner().map_err(|e| failed(e.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|e| failed(e.error))?;
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(facts)
    }

    fn write(&mut self, places: &[Place], facts: &Facts, out: &mut Output<impl Write>) -> std::io::Result<()> {
        out.write(MAGIC)?;
        let mut tables = Vec::new();
        let mut names = Names::default();
        // The key's number above, the record's below.
        let mut found: Vec<u64> = Vec::with_capacity(places.len() * 16);
        put(&mut tables, places.len().div_ceil(RECORDS) as u64);
        let (mut block, mut keys) = (Vec::new(), Vec::new());
        for (chunk_at, chunk) in places.chunks(RECORDS).enumerate() {
            block.clear();
            for (at, place) in chunk.iter().enumerate() {
                let mut cursor = Cursor(&self.records[place.record..]);
                let before = cursor.0.len();
                // Written by this builder, moments ago.
                let Some(entry) = record::read(&mut cursor, self.seen) else { continue };
                put_octets(&mut block, &self.records[place.record..][..before - cursor.0.len()]);
                keys_of(&entry, &mut keys);
                let number = (chunk_at * RECORDS + at) as u64;
                found.extend(keys.iter().map(|key| u64::from(names.number(key)) << 32 | number));
            }
            let packed = lz4_flex::block::compress_prepend_size(&block);
            put_part(&mut tables, &packed);
            out.write(&packed)?;
        }
        self.records = Vec::new();

        let sorted = names.sorted();
        let mut ranks = vec![0_u32; sorted.len()];
        for (rank, number) in sorted.iter().enumerate() {
            ranks[*number as usize] = rank as u32;
        }
        for item in &mut found {
            *item = u64::from(ranks[(*item >> 32) as usize]) << 32 | (*item & 0xffff_ffff);
        }
        drop(ranks);
        found.sort_unstable();
        found.dedup();

        let postings = out.at;
        let (mut blocks, mut block, mut before) = (Dictionary::default(), Vec::new(), Vec::new());
        let mut rest = found.as_slice();
        let mut offset = 0_u64;
        for (rank, number) in sorted.iter().enumerate() {
            let end = rest.partition_point(|item| (*item >> 32) as usize <= rank);
            let (own, other) = rest.split_at(end);
            rest = other;
            let key = names.text(*number);
            if rank % KEYS == 0 {
                blocks.close(&mut block);
                before.clear();
                blocks.first.push(key.to_vec());
            }
            let shared = before.iter().zip(key).take_while(|(a, b)| a == b).count();
            put(&mut block, shared as u64);
            put_octets(&mut block, &key[shared..]);
            put(&mut block, own.len() as u64);
            before = key.to_vec();
            if let [one] = own {
                put(&mut block, one & 0xffff_ffff);
                continue;
            }
            let list = list(own);
            put(&mut block, offset);
            put(&mut block, list.len() as u64);
            out.write(&list)?;
            offset += list.len() as u64;
        }
        blocks.close(&mut block);

        let dictionary = out.at;
        put(&mut tables, blocks.packed.len() as u64);
        for (first, packed) in blocks.first.iter().zip(&blocks.packed) {
            put_octets(&mut tables, first);
            put_part(&mut tables, packed);
            out.write(packed)?;
        }
        let tables_at = out.at;
        out.write(&tables)?;
        let facts_at = out.at;
        let text = serde_json::to_vec(facts).map_err(std::io::Error::other)?;
        out.write(&text)?;
        let mut footer = Vec::new();
        for position in [postings, dictionary, tables_at, facts_at] {
            footer.extend_from_slice(&position.to_le_bytes());
        }
        footer.extend_from_slice(&(places.len() as u32).to_le_bytes());
        footer.extend_from_slice(&(text.len() as u32).to_le_bytes());
        let mut sum = crc32fast::Hasher::new();
        [&tables, &text, &footer].iter().for_each(|part| sum.update(part));
        footer.extend_from_slice(&sum.finalize().to_le_bytes());
        footer.extend_from_slice(MAGIC);
        out.write(&footer)?;
        out.file.flush()
    }
}

/// A file and how much of it was written.
struct Output<W> {
    file: W,
    at: u64,
}

impl<W: Write> Output<W> {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<()> {
        self.at += octets.len() as u64;
        self.file.write_all(octets)
    }
}

/// Length and checksum of a block, for the tables.
fn put_part(tables: &mut Vec<u8>, part: &[u8]) {
    put(tables, part.len() as u64);
    tables.extend_from_slice(&crc32fast::hash(part).to_le_bytes());
}

/// Record numbers as differences, with a checksum.
fn list(items: &[u64]) -> Vec<u8> {
    let mut list = Vec::with_capacity(items.len() + 8);
    let mut before = 0;
    for item in items {
        let record = item & 0xffff_ffff;
        put(&mut list, record - before);
        before = record;
    }
    let sum = crc32fast::hash(&list);
    list.extend_from_slice(&sum.to_le_bytes());
    list
}

#[derive(Default)]
struct Dictionary {
    first: Vec<Vec<u8>>,
    packed: Vec<Vec<u8>>,
}

impl Dictionary {
    fn close(&mut self, block: &mut Vec<u8>) {
        if !block.is_empty() {
            self.packed.push(std::mem::take(block));
        }
    }
}

/// Keys by number, each kept once.
#[derive(Default)]
struct Names {
    text: Vec<u8>,
    /// Where each begins; the next one's beginning is its end.
    starts: Vec<usize>,
    /// By hash; of two of one hash the second is found at the next number.
    numbers: HashMap<u64, u32>,
}

impl Names {
    fn number(&mut self, key: &[u8]) -> u32 {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let mut hash = hasher.finish();
        loop {
            match self.numbers.get(&hash) {
                Some(&number) if self.text(number) == key => return number,
                Some(_) => hash = hash.wrapping_add(1),
                None => break,
            }
        }
        // Fewer than 2^32: each has at least an octet of a text that was read into memory.
        let number = self.starts.len() as u32;
        self.numbers.insert(hash, number);
        self.starts.push(self.text.len());
        self.text.extend_from_slice(key);
        number
    }

    fn text(&self, number: u32) -> &[u8] {
        let at = number as usize;
        let end = self.starts.get(at + 1).copied().unwrap_or(self.text.len());
        &self.text[self.starts[at]..end]
    }

    /// The numbers in the order of their texts; they are looked up no more.
    fn sorted(&mut self) -> Vec<u32> {
        self.numbers = HashMap::new();
        let mut sorted: Vec<u32> = (0..self.starts.len() as u32).collect();
        sorted.sort_unstable_by(|a, b| self.text(*a).cmp(self.text(*b)));
        sorted
    }
}

/// Every key an entry is found by: at least what `Sought::matches` compares.
fn keys_of(entry: &Entry, keys: &mut Vec<Vec<u8>>) {
    keys.clear();
    let mut add = |field, words: Vec<String>| keys.extend(words.iter().map(|word| key(field, word)));
    let coded = |coded: &Coded| {
        let mut all = words(&coded.label);
        all.push(coded.code.to_ascii_lowercase());
        all
    };
    add(Field::Address, vec![entry.address.lookup_key()]);
    add(Field::Kind, vec![entry.kind.code().to_ascii_lowercase()]);
    if let Some(person) = &entry.person {
        add(Field::Name, words(&person.family));
        add(Field::Given, words(&person.given));
        add(Field::Profession, person.profession.as_ref().map(coded).unwrap_or_default());
        person.specialities.iter().for_each(|speciality| add(Field::Speciality, coded(speciality)));
        let number = person.id.as_ref().and_then(|id| id.rpps_number());
        add(Field::Rpps, number.map(str::to_owned).into_iter().collect());
    }
    for site in &entry.sites {
        for text in [&site.structure, &site.sign, &site.service] {
            add(Field::Structure, words(text));
        }
        add(Field::StructureNumber, vec![structure_number(&site.structure_id).to_ascii_lowercase()]);
        add(Field::City, city_words(&site.city));
        add(Field::PostalCode, vec![site.postal_code.to_ascii_lowercase()]);
        add(Field::Department, vec![site.department.to_ascii_lowercase()]);
    }
    // An empty code is nothing to be found by.
    keys.retain(|key| key.len() > 1);
    keys.sort_unstable();
    keys.dedup();
}
