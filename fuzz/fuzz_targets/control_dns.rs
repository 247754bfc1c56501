//! Questions to the name server of the scripted operator.
#![no_main]

use std::net::IpAddr;

use control::client::dns::answer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for address in [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])] {
        let Some(answer) = answer(input, "controle.mssante.fr", address) else { continue };
        // An answer to that question, hardly longer than it: nobody is helped to flood somebody else.
        assert_eq!(answer[..2], input[..2]);
        assert_eq!(answer[2] & 0x80, 0x80);
        assert!(answer.len() <= input.len() + 28);
        assert!(matches!(answer[3], 0 | 3) && answer[7] <= 1);
    }
});
