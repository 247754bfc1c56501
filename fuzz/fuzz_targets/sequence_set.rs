//! Sequence sets: what is read can be written and read again, and means the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::sequence::SequenceSet;

fuzz_target!(|input: (&str, u32)| {
    let (text, max) = input;
    if let Ok(set) = SequenceSet::parse(text) {
        assert_eq!(SequenceSet::parse(&set.to_string()).as_ref(), Ok(&set));
        let ranges = set.resolve(max);
        assert!(ranges.ranges().windows(2).all(|w| u64::from(*w[0].end()) + 1 < u64::from(*w[1].start())));
        if !ranges.is_empty() {
            let again = SequenceSet::parse(&ranges.to_string()).expect("its own text");
            assert_eq!(again.resolve(1), ranges);
        }
    }
});
