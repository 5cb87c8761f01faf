//! Values that must not appear in a log, an event, a recording or an error.

use zeroize::Zeroize;

/// A value without `Debug`, `Display` or `Clone`, wiped when dropped. It is opened only where a
/// login message is encoded or a token is verified.
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Lends the value to `open` and to nothing else.
    pub fn with<R>(&self, open: impl FnOnce(&T) -> R) -> R {
        open(&self.0)
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
