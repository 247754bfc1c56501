//! Header fields, encoded words and transfer encodings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::header::{self, Fields, Transfer, TransferDecoder, Writer, decode_words};

fuzz_target!(|input: &[u8]| {
    let mut last = 0;
    for field in Fields::new(input) {
        assert!(field.range.start >= last && field.range.end <= input.len());
        last = field.range.end;
        let value = field.value();
        assert!(!value.contains(['\r', '\n', '\0']));
        let _ = decode_words(&value);
        let mut writer = Writer::new();
        if writer.text(field.name, &value).is_ok() {
            let block = writer.finish();
            assert_eq!(Fields::new(&block).count(), 1);
            assert_eq!(header::count(&block, field.name), 1);
        }
        assert_eq!(header::count(&header::remove(input, field.name), field.name), 0);
    }
    let _ = header::end(input);
    for transfer in [Transfer::Base64, Transfer::QuotedPrintable] {
        let (mut whole, mut pieces) = (Vec::new(), Vec::new());
        let mut decoder = TransferDecoder::new(transfer);
        decoder.push(input, &mut whole);
        decoder.finish(&mut whole);
        let mut decoder = TransferDecoder::new(transfer);
        input.chunks(3).for_each(|piece| decoder.push(piece, &mut pieces));
        decoder.finish(&mut pieces);
        assert_eq!(whole, pieces);
    }
});
