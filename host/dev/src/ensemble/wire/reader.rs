//! Reads the parts of a message. Whatever a stranger sends, it takes no more memory than the message itself has.

/// A message ends too early, or says something of itself that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Malformed;

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(in super::super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(in super::super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(in super::super) fn int(&mut self) -> Result<i32, Malformed> {
        self.bytes().map(i32::from_be_bytes)
    }

    pub(in super::super) fn long(&mut self) -> Result<i64, Malformed> {
        self.bytes().map(i64::from_be_bytes)
    }

    pub(in super::super) fn bool(&mut self) -> Result<bool, Malformed> {
        self.bytes().map(|[byte]| byte != 0)
    }

    /// Some bytes, or none where there are none.
    pub(in super::super) fn buffer(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(Some(bytes))
    }

    /// A text. What is no UTF-8 is replaced, as Java does it.
    pub(in super::super) fn text(&mut self) -> Result<String, Malformed> {
        let bytes = self.buffer()?.ok_or(Malformed)?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// A list, or none where there is none.
    pub(in super::super) fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<Vec<T>>, Malformed> {
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        // No room is made in advance: the number may be a lie. Every element takes some bytes of the message.
        let mut list = Vec::new();
        for _ in 0..length {
            list.push(element(self)?);
        }
        Ok(Some(list))
    }

    /// How many things follow.
    pub(in super::super) fn count(&mut self) -> Result<usize, Malformed> {
        self.length()?.ok_or(Malformed)
    }

    fn length(&mut self) -> Result<Option<usize>, Malformed> {
        match self.int()? {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_too_early_or_lies_about_its_length_is_malformed() {
        let huge = [0x7f, 0xff, 0xff, 0xff, 1, 2, 3];
        assert_eq!(Reader::new(&huge).buffer(), Err(Malformed));
        assert_eq!(Reader::new(&huge).list(Reader::int), Err(Malformed));
        assert_eq!(Reader::new(&[0xff; 3]).int(), Err(Malformed));
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xfe]).buffer(),
            Err(Malformed)
        );
        assert_eq!(Reader::new(&[0xff; 4]).buffer(), Ok(None));
        assert_eq!(Reader::new(&[0xff; 4]).text(), Err(Malformed));
        assert_eq!(Reader::new(&[0; 4]).text(), Ok(String::new()));
    }
}
