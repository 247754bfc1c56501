//! Numbers and texts in octets. What is read was authenticated before; it is checked all the same, as nothing here may panic.

/// Writes.
#[derive(Default)]
pub(super) struct Output {
    pub(super) octets: Vec<u8>,
}

impl Output {
    /// A number: seven bits per octet, the lowest first.
    pub(super) fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.octets.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.octets.push(n as u8);
    }
}

/// Reads.
pub(super) struct Input<'o> {
    octets: &'o [u8],
}

impl<'o> Input<'o> {
    pub(super) fn new(octets: &'o [u8]) -> Self {
        Input { octets }
    }

    #[inline]
    pub(super) fn number(&mut self) -> Option<u64> {
        // Most are small.
        match self.octets.split_first() {
            Some((octet, rest)) if *octet < 0x80 => {
                self.octets = rest;
                Some(u64::from(*octet))
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let (octet, rest) = self.octets.split_first()?;
            self.octets = rest;
            n |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    pub(super) fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    /// A number of things to follow, each of at least one octet.
    pub(super) fn count(&mut self) -> Option<usize> {
        let n = usize::try_from(self.number()?).ok()?;
        (n <= self.octets.len()).then_some(n)
    }

    pub(super) fn take(&mut self, n: usize) -> Option<&'o [u8]> {
        let (head, rest) = self.octets.split_at_checked(n)?;
        self.octets = rest;
        Some(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.octets.split_first_chunk()?;
        self.octets = rest;
        Some(*head)
    }

    pub(super) fn rest(&self) -> &'o [u8] {
        self.octets
    }

    pub(super) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for n in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Output::default();
            out.number(n);
            let mut input = Input::new(&out.octets);
            assert_eq!((input.number(), input.is_empty()), (Some(n), true));
        }
        assert_eq!(Input::new(&[0x80; 20]).number(), None);
        assert_eq!(Input::new(&[0x80]).number(), None);
        assert_eq!(Input::new(&[5, 1]).count(), None);
    }
}
