//! Names inside an archive, and its own.

/// Longest entry name, in bytes: the convention's are under 40.
const MAX_NAME: usize = 255;
/// Deepest entry: the convention has three levels; some writers add one.
const MAX_LEVELS: usize = 8;

/// Whether an attachment's name is the archive's. Both cases are in use, even inside one guide.
#[must_use]
pub fn is_archive_name(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case(super::ARCHIVE_NAME)
}

/// The name of an entry or of a metadata URI as a key: `/` between levels, capitals. `None` when it is
/// absolute, climbs (`..`), is too long or too deep, or holds control characters or a drive.
pub(super) fn key(raw: &str) -> Option<String> {
    let path = raw.replace('\\', "/");
    let path = path.strip_suffix('/').unwrap_or(&path);
    let path = path.strip_prefix("./").unwrap_or(path);
    let level_ok = |level: &str| !level.is_empty() && level != "." && level != "..";
    let ok = path.len() <= MAX_NAME
        && !path.chars().any(|c| c.is_control() || c == ':')
        && path.split('/').count() <= MAX_LEVELS
        && path.split('/').all(level_ok);
    ok.then(|| path.to_ascii_uppercase())
}

/// The directory of a key, with its final `/`; empty at the top.
pub(super) fn directory(key: &str) -> &str {
    key.rfind('/').map_or("", |at| &key[..=at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        assert_eq!(key("IHE_XDM/SubSet01/doc.xml").as_deref(), Some("IHE_XDM/SUBSET01/DOC.XML"));
        assert_eq!(key("IHE_XDM\\SUBSET01\\").as_deref(), Some("IHE_XDM/SUBSET01"));
        for bad in ["", "/a", "\\a", "../a", "a/../b", "a//b", "C:a", "a\nb", "a/./b", "1/2/3/4/5/6/7/8/9"] {
            assert_eq!(key(bad), None, "{bad:?}");
        }
        assert_eq!((directory("A/B/C.XML"), directory("C.XML")), ("A/B/", ""));
        assert!(is_archive_name("ihe_xdm.ZIP") && !is_archive_name("IHE_XDM.zip.exe"));
    }
}
