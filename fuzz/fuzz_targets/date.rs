//! Dates: what is read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::date::{self, Moment};

fuzz_target!(|input: (&str, i64, i16)| {
    let (text, unix, offset_minutes) = input;
    if let Some(date) = date::parse_imap_date(text) {
        assert_eq!(date::parse_imap_date(&date::format_imap_date(date)), Some(date));
    }
    for moment in [date::parse_rfc5322(text), date::parse_imap_date_time(text)].into_iter().flatten() {
        let _ = (date::format_rfc5322(moment), date::format_imap_date_time(moment), moment.date());
    }
    let moment = Moment { unix, offset_minutes };
    let _ = (date::format_rfc5322(moment), date::format_imap_date_time(moment), moment.date());
});
