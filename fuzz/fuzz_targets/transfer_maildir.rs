//! Names that others chose: of folders and files of a Maildir that is read, of folders that are exported. Nothing is ever
//! written outside of the folder given.
#![no_main]

use libfuzzer_sys::fuzz_target;
use operator::transfer::letter::{Key, Letter, Post};
use operator::transfer::maildir::{Maildir, MaildirWriter};
use operator::transfer::mbox::MboxWriter;
use operator::transfer::{Given, Source};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn root() -> &'static PathBuf {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        parent.join(format!("vaguemestre-maildir-{}", std::process::id()))
    })
}

fn inside(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

fuzz_target!(|input: &[u8]| {
    let root = root();
    let _ = std::fs::remove_dir_all(root);
    std::fs::create_dir_all(root.join("out")).expect("a folder");
    let mut lines = input.split(|b| *b == b'\n');
    let flags = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let names: Vec<String> = lines
        .take(4)
        .filter_map(|name| Some(mail::FolderName::new(std::str::from_utf8(name).ok()?).ok()?.as_str().to_owned()))
        .collect();
    let (maildir, mbox) = (root.join("out/maildir"), root.join("out/mbox"));
    let mut written = MaildirWriter::open(&maildir).expect("begun");
    let mut file = MboxWriter::open(&mbox).expect("begun");
    for (n, folder) in names.iter().enumerate() {
        let letter = Letter {
            folder: folder.clone(),
            flags: flags.split(' ').filter(|f| !f.is_empty()).map(str::to_owned).collect(),
            date: 1_700_000_000,
            key: Key::of("fuzz", folder, &n.to_string()),
            size: 4,
        };
        let post = Post { letter, octets: "a\r\n\n".into() };
        written.write(&post).expect("any name can be written");
        file.write(&post).expect("any name can be written");
    }
    file.finish().expect("finished");
    assert_eq!((inside(root), inside(&root.join("out"))), (1, 2), "nothing beside");
    let mut distinct = names.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(inside(&mbox), distinct.len(), "a file for each folder");
    let mut source = Maildir::open(&maildir).expect("a Maildir");
    let mut read = 0;
    while let Some(given) = source.next(&|_| false).expect("readable") {
        read += usize::from(matches!(given, Given::Post(_)));
    }
    assert_eq!(read, names.len(), "all that was written is read");
});
