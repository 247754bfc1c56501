//! A command as it is built: text that cannot hold a line end, strings that are quoted when they can be and literals when they
//! must.

/// Longest string written quoted.
const MAX_QUOTED: usize = 1000;

/// A piece of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chunk {
    Text(Vec<u8>),
    Literal(Vec<u8>),
}

/// A command without its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub(super) verb: &'static str,
    pub(super) chunks: Vec<Chunk>,
}

impl Command {
    /// Begins with a verb: `UID FETCH`.
    #[must_use]
    pub fn new(verb: &'static str) -> Self {
        Command { verb, chunks: vec![Chunk::Text(verb.as_bytes().to_vec())] }
    }

    fn push(mut self, octets: impl IntoIterator<Item = u8>) -> Self {
        match self.chunks.last_mut() {
            Some(Chunk::Text(text)) => text.extend(octets),
            _ => self.chunks.push(Chunk::Text(octets.into_iter().collect())),
        }
        self
    }

    /// Text of the grammar; CR, LF and NUL are left out.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.push(text.bytes().filter(|b| !matches!(b, b'\r' | b'\n' | 0)))
    }

    /// An atom: a flag, a number; what cannot stand in one is left out.
    #[must_use]
    pub fn atom(self, atom: &str) -> Self {
        let fits = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'(' | b')' | b'{' | b'"' | b'%' | b'*' | b']');
        self.push(atom.bytes().filter(fits))
    }

    /// `(\Seen $Fait)`.
    #[must_use]
    pub fn flags(self, flags: &[&str]) -> Self {
        let mut command = self.text("(");
        for (at, flag) in flags.iter().enumerate() {
            command = if at == 0 { command } else { command.text(" ") }.atom(flag);
        }
        command.text(")")
    }

    /// Any string; NUL, which none may hold, is left out.
    #[must_use]
    pub fn string(mut self, string: &str) -> Self {
        let quotable = string.len() <= MAX_QUOTED && string.bytes().all(|b| (b' '..=b'~').contains(&b));
        if quotable {
            let escaped = string.replace('\\', "\\\\").replace('"', "\\\"");
            return self.push(format!("\"{escaped}\"").into_bytes());
        }
        self.chunks.push(Chunk::Literal(string.bytes().filter(|b| *b != 0).collect()));
        self
    }

    /// As it goes over the wire, without tag and line end; `plus`: literals need no permission.
    #[must_use]
    pub fn octets(&self, plus: bool) -> Vec<u8> {
        let mut octets = Vec::new();
        for chunk in &self.chunks {
            match chunk {
                Chunk::Text(text) => octets.extend_from_slice(text),
                Chunk::Literal(literal) => {
                    octets.extend_from_slice(announce(literal.len() as u64, plus).as_bytes());
                    octets.extend_from_slice(literal);
                }
            }
        }
        octets
    }
}

/// The announcement of a literal.
pub(super) fn announce(size: u64, plus: bool) -> String {
    format!("{{{size}{}}}\r\n", if plus { "+" } else { "" })
}
