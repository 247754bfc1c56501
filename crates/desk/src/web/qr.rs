//! A QR code drawn as SVG in the page: nothing is fetched, nothing runs, and no other service learns what it holds.

use std::fmt::Write;

use qrcodegen::{QrCode, QrCodeEcc};

use crate::html;
use crate::html::Html;

/// The empty border that readers need (ISO/IEC 18004 §9.1), in modules.
const QUIET: i32 = 4;

/// The code of a text; nothing when it is longer than a code can hold (some 2,300 octets).
pub(super) fn svg(text: &str, label: &str) -> Html {
    let Ok(code) = QrCode::encode_text(text, QrCodeEcc::Medium) else { return Html::empty() };
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let begin = x;
            while code.get_module(x, y) {
                x += 1;
            }
            if x > begin {
                // Writing to a String cannot fail.
                let _ = write!(path, "M{} {}h{}v1h-{}z", begin + QUIET, y + QUIET, x - begin, x - begin);
            }
            x += 1;
        }
    }
    let size = (code.size() + 2 * QUIET).to_string();
    // Black on white in the dark too: many readers take nothing else.
    html!(
        "<svg class=\"qr\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {} {}\" width=\"240\" height=\"240\" shape-rendering=\"crispEdges\">\
         <rect width=\"{}\" height=\"{}\" fill=\"#fff\"/><path fill=\"#000\" d=\"{}\"/></svg>\n",
        label,
        size,
        size,
        size,
        size,
        path
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The modules that the path draws.
    fn drawn(svg: &str) -> Vec<(i32, i32)> {
        let path = svg.split(" d=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a path");
        let runs = path.split('M').skip(1).map(|run| {
            let (at, rest) = run.split_once('h').expect("a run");
            let (x, y) = at.split_once(' ').expect("a place");
            let long: i32 = rest.split('v').next().expect("a length").parse().expect("a number");
            (x.parse::<i32>().expect("a number"), y.parse::<i32>().expect("a number"), long)
        });
        runs.flat_map(|(x, y, long)| (x..x + long).map(move |x| (x - QUIET, y - QUIET))).collect()
    }

    #[test]
    fn every_module_and_no_other_is_drawn() {
        let text = "otpauth://totp/Essai:chef?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Essai";
        let code = QrCode::encode_text(text, QrCodeEcc::Medium).expect("short");
        let expected: Vec<(i32, i32)> = (0..code.size())
            .flat_map(|y| (0..code.size()).map(move |x| (x, y)))
            .filter(|(x, y)| code.get_module(*x, *y))
            .collect();
        let svg = svg(text, "\"<b>").into_string();
        assert_eq!(drawn(&svg), expected);
        assert!(svg.contains("aria-label=\"&quot;&lt;b&gt;\"") && !svg.contains(" style="));
        assert!(super::svg(&"x".repeat(3000), "").is_empty());
    }
}
