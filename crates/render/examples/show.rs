//! Shows a CDA document: `cargo run -p render --example show -- html|text|pdf FILE > OUT`.

use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(form), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: show html|text|pdf FILE".into());
    };
    let document = std::fs::read(file)?;
    let shown = match form.as_str() {
        "html" => render::html(&document)?.into_bytes(),
        "text" => render::text(&document)?.into_bytes(),
        "pdf" => render::pdf(&document)?,
        _ => return Err("html, text or pdf".into()),
    };
    std::io::stdout().write_all(&shown)?;
    Ok(())
}
