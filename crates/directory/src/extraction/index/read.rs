//! Searching an index: keys of the query's words give marks of records, the marked records are read and checked, in order, until there are
//! enough.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::format::{Cursor, FOOTER, Field, MAGIC, MAX_PART, MAX_RECORDS, Marks, RECORDS, key};
use super::{Facts, record};
use crate::entry::{Answer, Entry};
use crate::extraction::error::ExtractionError;
use crate::query::{Query, Sought, SoughtPlace, SoughtStructure, structure_number};

/// Largest block of records after unpacking: sixty-four of them have some 15 KB.
const MAX_BLOCK: usize = 16 * 1024 * 1024;

/// An index that is open. Searches read the file where they need it; a newer one takes its place without disturbing them.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    file: File,
    facts: Facts,
    records: usize,
    postings: u64,
    dictionary_end: u64,
    blocks: Vec<Part>,
    first_keys: Vec<Box<[u8]>>,
    keys: Vec<Part>,
}

/// Where a part of the file is.
#[derive(Debug, Clone, Copy)]
struct Part {
    at: u64,
    size: u32,
    sum: u32,
}

/// Where everything is.
struct Tables {
    blocks: Vec<Part>,
    first_keys: Vec<Box<[u8]>>,
    keys: Vec<Part>,
}

impl Tables {
    /// Reads the tables; blocks stand one behind the other, those of the dictionary from `dictionary` on.
    fn read(tables: &[u8], dictionary: u64) -> Option<Tables> {
        let mut cursor = Cursor(tables);
        let part = |cursor: &mut Cursor<'_>, at: &mut u64| {
            let size = u32::try_from(cursor.get()?).ok().filter(|size| *size as usize <= MAX_PART)?;
            let sum = u32::from_le_bytes(cursor.take(4)?.try_into().ok()?);
            let part = Part { at: *at, size, sum };
            *at = at.checked_add(u64::from(size))?;
            Some(part)
        };
        let (mut blocks, mut at) = (Vec::new(), MAGIC.len() as u64);
        for _ in 0..cursor.size()? {
            blocks.push(part(&mut cursor, &mut at)?);
        }
        let (mut first_keys, mut keys, mut at) = (Vec::new(), Vec::new(), dictionary);
        for _ in 0..cursor.size()? {
            first_keys.push(cursor.octets()?.into());
            keys.push(part(&mut cursor, &mut at)?);
        }
        Some(Tables { blocks, first_keys, keys })
    }
}

impl Index {
    /// Opens an index. Blocking; some milliseconds.
    ///
    /// # Errors
    /// [`ExtractionError::NoIndex`], [`ExtractionError::Damaged`], [`ExtractionError::File`].
    pub fn open(path: &Path) -> Result<Index, ExtractionError> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => ExtractionError::NoIndex(path.to_owned()),
            _ => ExtractionError::File { path: path.to_owned(), error },
        };
        let damaged = |what| ExtractionError::Damaged { path: path.to_owned(), what };
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let footer_at = size.checked_sub(FOOTER as u64).ok_or(damaged("too short"))?;
        let mut footer = [0; FOOTER];
        file.read_exact_at(&mut footer, footer_at).map_err(failed)?;
        if footer[FOOTER - 8..] != MAGIC[..] {
            return Err(damaged("another kind or version of file"));
        }
        let position = |at: usize| u64::from_le_bytes(footer[at * 8..at * 8 + 8].try_into().unwrap_or_default());
        let number = |at: usize| u32::from_le_bytes(footer[32 + at * 4..36 + at * 4].try_into().unwrap_or_default());
        let [postings, dictionary, tables_at, facts_at] = [0, 1, 2, 3].map(position);
        let records = number(0) as usize;
        let in_order = [postings, dictionary, tables_at, facts_at, footer_at].is_sorted();
        let tables_size = facts_at.saturating_sub(tables_at) as usize;
        let facts_size = footer_at.saturating_sub(facts_at) as usize;
        if !in_order || records > MAX_RECORDS || tables_size > MAX_PART || facts_size > MAX_PART {
            return Err(damaged("its footer"));
        }
        let mut tables = vec![0; tables_size + facts_size];
        file.read_exact_at(&mut tables, tables_at).map_err(failed)?;
        let mut sum = crc32fast::Hasher::new();
        sum.update(&tables);
        sum.update(&footer[..40]);
        if sum.finalize() != number(2) {
            return Err(damaged("its tables"));
        }
        let (tables, text) = tables.split_at(tables_size);
        let facts: Facts = serde_json::from_slice(text).map_err(|_| damaged("its facts"))?;
        let Tables { blocks, first_keys, keys } = Tables::read(tables, dictionary).ok_or(damaged("its tables"))?;
        if blocks.len() != records.div_ceil(RECORDS) {
            return Err(damaged("its tables"));
        }
        Ok(Index {
            path: path.to_owned(),
            file,
            facts,
            records,
            postings,
            dictionary_end: dictionary,
            blocks,
            first_keys,
            keys,
        })
    }

    /// Where it comes from and what it holds.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Who is looked for. Blocking, from some microseconds to some milliseconds.
    ///
    /// # Errors
    /// A query that cannot be asked, a file that cannot be read or was damaged.
    pub fn find(&self, query: &Query) -> Result<Answer, ExtractionError> {
        let sought = query.sought()?;
        let limit = query.limit();
        let marks = self.marks(&sought)?;
        let seen = SystemTime::UNIX_EPOCH + Duration::from_secs(self.facts.seen.min(u64::from(u32::MAX)));
        let mut entries: Vec<Entry> = Vec::new();
        let mut open: Option<(usize, Vec<u8>)> = None;
        for number in marks.iter() {
            let (block, at) = (number / RECORDS, number % RECORDS);
            if open.as_ref().is_none_or(|(which, _)| *which != block) {
                open = Some((block, self.block(block)?));
            }
            let Some((_, records)) = &open else { continue };
            let entry = nth(records, at, seen).ok_or_else(|| self.damaged("a block"))?;
            if sought.matches(&entry) {
                if entries.len() == limit {
                    return Ok(Answer { entries, complete: false });
                }
                entries.push(entry);
            }
        }
        Ok(Answer { entries, complete: true })
    }

    /// The records that have all words looked for.
    fn marks(&self, sought: &Sought) -> Result<Marks, ExtractionError> {
        let mut all: Vec<(Vec<u8>, bool)> = Vec::new();
        let mut begins = |field, words: &[String]| all.extend(words.iter().map(|word| (key(field, word), false)));
        begins(Field::Name, &sought.name);
        begins(Field::Given, &sought.given);
        begins(Field::Profession, &sought.profession);
        begins(Field::Speciality, &sought.speciality);
        begins(Field::Address, sought.address.as_slice());
        match &sought.place {
            Some(SoughtPlace::City(words)) => begins(Field::City, words),
            Some(SoughtPlace::PostalCode(code)) => all.push((key(Field::PostalCode, &code.to_lowercase()), true)),
            Some(SoughtPlace::Department(code)) => all.push((key(Field::Department, &code.to_lowercase()), true)),
            None => {}
        }
        match &sought.structure {
            Some(SoughtStructure::Name(words)) => all.extend(words.iter().map(|w| (key(Field::Structure, w), false))),
            Some(SoughtStructure::Id(id)) => {
                all.push((key(Field::StructureNumber, &structure_number(id).to_lowercase()), true));
            }
            None => {}
        }
        if let Some(number) = &sought.rpps {
            all.push((key(Field::Rpps, number), true));
        }
        let mut marks: Option<Marks> = None;
        let mut keep = |own: Marks| match &mut marks {
            None => marks = Some(own),
            Some(marks) => marks.and(&own),
        };
        for (key, exact) in all {
            let mut own = Marks::none(self.records);
            self.mark(&key, exact, &mut own)?;
            keep(own);
        }
        if !sought.kinds.is_empty() {
            let mut own = Marks::none(self.records);
            for kind in &sought.kinds {
                self.mark(&key(Field::Kind, &kind.code().to_lowercase()), true, &mut own)?;
            }
            keep(own);
        }
        // A query that can be asked has a criterion.
        Ok(marks.unwrap_or_else(|| Marks::none(self.records)))
    }

    /// Marks the records of a key, or of every key that begins so.
    fn mark(&self, sought: &[u8], exact: bool, marks: &mut Marks) -> Result<(), ExtractionError> {
        let damaged = || self.damaged("its dictionary");
        let from = self.first_keys.partition_point(|first| **first <= *sought).saturating_sub(1);
        // Lists of neighbouring keys are neighbours: read at once.
        let (mut span, mut lists) = (None::<(u64, u64)>, Vec::new());
        'blocks: for part in self.keys.iter().skip(from) {
            let block = self.part(*part, "its dictionary")?;
            let mut cursor = Cursor(&block);
            let mut own: Vec<u8> = Vec::new();
            while !cursor.0.is_empty() {
                let shared = cursor.size().filter(|shared| *shared <= own.len()).ok_or_else(damaged)?;
                own.truncate(shared);
                own.extend_from_slice(cursor.octets().ok_or_else(damaged)?);
                let count = cursor.get().ok_or_else(damaged)?;
                let place = cursor.get().ok_or_else(damaged)?;
                let size = if count == 1 { 0 } else { cursor.get().ok_or_else(damaged)? };
                let is_sought = if exact { own == sought } else { own.starts_with(sought) };
                if !is_sought {
                    if own.as_slice() > sought && (exact || !own.starts_with(sought)) {
                        break 'blocks;
                    }
                    continue;
                }
                if count == 1 {
                    if !marks.set(place) {
                        return Err(damaged());
                    }
                } else {
                    let end = place.checked_add(size).ok_or_else(damaged)?;
                    span = Some(span.map_or((place, end), |(first, _)| (first, end)));
                    lists.push((place, size));
                }
                if exact {
                    break 'blocks;
                }
            }
        }
        let Some((first, end)) = span else { return Ok(()) };
        let size = end.checked_sub(first).filter(|size| *size <= MAX_PART as u64).ok_or_else(damaged)?;
        let at = self.postings.checked_add(first).filter(|at| at + size <= self.dictionary_end).ok_or_else(damaged)?;
        let octets = self.read(at, size as usize)?;
        for (place, size) in lists {
            let list = (place.checked_sub(first).and_then(|at| usize::try_from(at).ok()))
                .and_then(|at| octets.get(at..at.checked_add(size as usize)?))
                .ok_or_else(damaged)?;
            self.mark_list(list, marks)?;
        }
        Ok(())
    }

    fn mark_list(&self, list: &[u8], marks: &mut Marks) -> Result<(), ExtractionError> {
        let damaged = || self.damaged("its postings");
        let (numbers, sum) = list.split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32fast::hash(numbers) != u32::from_le_bytes(*sum) {
            return Err(damaged());
        }
        let (mut cursor, mut record) = (Cursor(numbers), 0_u64);
        while !cursor.0.is_empty() {
            record = cursor.get().and_then(|step| record.checked_add(step)).ok_or_else(damaged)?;
            if !marks.set(record) {
                return Err(damaged());
            }
        }
        Ok(())
    }

    fn block(&self, number: usize) -> Result<Vec<u8>, ExtractionError> {
        let damaged = || self.damaged("a block");
        let packed = self.part(*self.blocks.get(number).ok_or_else(damaged)?, "a block")?;
        let size = packed.first_chunk::<4>().map(|size| u32::from_le_bytes(*size) as usize);
        if size.is_none_or(|size| size > MAX_BLOCK) {
            return Err(damaged());
        }
        lz4_flex::block::decompress_size_prepended(&packed).map_err(|_| damaged())
    }

    fn part(&self, part: Part, what: &'static str) -> Result<Vec<u8>, ExtractionError> {
        let octets = self.read(part.at, part.size as usize)?;
        if crc32fast::hash(&octets) == part.sum { Ok(octets) } else { Err(self.damaged(what)) }
    }

    fn read(&self, at: u64, size: usize) -> Result<Vec<u8>, ExtractionError> {
        let mut octets = vec![0; size];
        self.file
            .read_exact_at(&mut octets, at)
            .map_err(|error| ExtractionError::File { path: self.path.clone(), error })?;
        Ok(octets)
    }

    fn damaged(&self, what: &'static str) -> ExtractionError {
        ExtractionError::Damaged { path: self.path.clone(), what }
    }
}

/// A record of a block.
fn nth(block: &[u8], at: usize, seen: SystemTime) -> Option<Entry> {
    let mut cursor = Cursor(block);
    for _ in 0..at {
        cursor.octets()?;
    }
    record::read(&mut Cursor(cursor.octets()?), seen)
}
