//! Pictures of a document: PNG and JPEG, recognised by how they begin, their size read before anything is decoded.

use crate::embedded::Media;
use crate::error::RenderError;
use crate::model::Picture;

/// Widest and highest picture, in dots: a page scanned at 600 dots per inch is 7016 high.
const MAX_SIDE: u32 = 8192;
/// Most dots of a picture: what it takes decoded (48 MB) is the largest share of memory of a rendering.
const MAX_DOTS: u64 = 16 * 1024 * 1024;

/// A picture whose size is known and bounded.
pub(crate) fn of(media: Media, bytes: Vec<u8>, caption: String) -> Result<Picture, RenderError> {
    let (width, height) = match media {
        Media::Png => png_size(&bytes),
        Media::Jpeg => jpeg_size(&bytes),
        Media::Pdf | Media::Text => None,
    }
    .ok_or(RenderError::NotAnnounced)?;
    let dots = u64::from(width) * u64::from(height);
    if dots == 0 || width > MAX_SIDE || height > MAX_SIDE || dots > MAX_DOTS {
        return Err(RenderError::Limit);
    }
    Ok(Picture { jpeg: media == Media::Jpeg, width, height, bytes, caption })
}

/// IHDR, which is always first.
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(4..16)?.strip_prefix(b"IHDR")?;
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    Some((number(0)?, number(4)?))
}

/// The frame header. Pictures of four colours (CMYK) are not taken: PDF/A needs a profile that they do not bring, and browsers differ.
fn jpeg_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut rest = bytes.strip_prefix(b"\xFF\xD8")?;
    loop {
        while let [0xFF, 0xFF, ..] = rest {
            rest = &rest[1..];
        }
        let (marker, after) = match rest {
            [0xFF, marker, after @ ..] => (*marker, after),
            _ => return None,
        };
        // Markers without a length.
        if matches!(marker, 0x01 | 0xD0..=0xD7) {
            rest = after;
            continue;
        }
        let length = usize::from(u16::from_be_bytes(after.get(..2)?.try_into().ok()?));
        let segment = after.get(2..length)?;
        match marker {
            0xC0..=0xC2 => {
                let side = |at: usize| Some(u32::from(u16::from_be_bytes(segment.get(at..at + 2)?.try_into().ok()?)));
                let fine = *segment.first()? == 8 && matches!(segment.get(5)?, 1 | 3);
                return if fine { Some((side(3)?, side(1)?)) } else { None };
            }
            // Start of scan before any frame, other frames (lossless, arithmetic): not shown.
            0xDA | 0xD9 | 0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => return None,
            _ => rest = after.get(length..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let png = |width: u32, height: u32| {
            let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
            bytes.extend(width.to_be_bytes());
            bytes.extend(height.to_be_bytes());
            bytes
        };
        let size = |media, bytes: Vec<u8>| of(media, bytes, String::new()).map(|p| (p.width, p.height));
        assert_eq!(size(Media::Png, png(3, 4)), Ok((3, 4)));
        assert_eq!(size(Media::Png, png(8192, 8192)), Err(RenderError::Limit));
        assert_eq!(size(Media::Png, png(0, 1)), Err(RenderError::Limit));
        assert_eq!(size(Media::Png, png(3, 4)[..20].to_vec()), Err(RenderError::NotAnnounced));
        let jpeg = |components: u8| {
            let mut bytes = b"\xFF\xD8\xFF\xE0\0\x04ab\xFF\xFF\xC2\0\x09\x08\0\x05\0\x07".to_vec();
            bytes.push(components);
            bytes.push(0);
            bytes
        };
        assert_eq!(size(Media::Jpeg, jpeg(3)), Ok((7, 5)));
        assert_eq!(size(Media::Jpeg, jpeg(4)), Err(RenderError::NotAnnounced));
        for cut in 0..jpeg(3).len() - 1 {
            assert!(size(Media::Jpeg, jpeg(3)[..cut].to_vec()).is_err());
        }
    }
}
