//! Decoded pictures, kept for the next step.

use crate::media::Decoded;
use darkroom_proto::Sha256;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Pictures that were decoded or made a moment ago, by the digest of their files, so that the next step on this worker
/// does not decode again.
///
/// It only ever holds what decoding the whole file gives, bit for bit: whether a picture comes from here or from its file
/// can't be told from any output. So nothing that was encoded with loss or decoded at a reduced scale goes in.
#[derive(Debug)]
pub struct PixelCache {
    /// A short `std` lock: nothing but a few comparisons happens under it.
    entries: Mutex<Entries>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Entries {
    /// The longest unused first. There are few: a scan is cheaper than a map that must be kept in step with the order.
    queue: VecDeque<(Sha256, Arc<Decoded>)>,
    bytes: usize,
}

/// The most pictures that are kept, however small they are.
const ENTRIES_MAX: usize = 256;

impl PixelCache {
    /// A cache for this many bytes of pixels. Zero keeps nothing.
    pub fn new(bytes_max: usize) -> PixelCache {
        PixelCache { entries: Mutex::default(), bytes_max }
    }

    /// The picture of this file, if it is here.
    pub fn get(&self, digest: &Sha256) -> Option<Arc<Decoded>> {
        let mut entries = self.lock();
        let at = entries.queue.iter().position(|(key, _)| key == digest)?;
        let entry = entries.queue.remove(at)?;
        let picture = entry.1.clone();
        entries.queue.push_back(entry);
        Some(picture)
    }

    /// Keeps the picture that decoding the whole file of this digest gives. One that would fill more than half of the
    /// cache is not kept: it would push everything else out.
    pub fn insert(&self, digest: Sha256, picture: Arc<Decoded>) {
        let bytes = picture.picture.bytes();
        if bytes > self.bytes_max / 2 {
            return;
        }
        let mut entries = self.lock();
        if entries.queue.iter().any(|(key, _)| *key == digest) {
            return;
        }
        entries.bytes += bytes;
        entries.queue.push_back((digest, picture));
        while entries.bytes > self.bytes_max || entries.queue.len() > ENTRIES_MAX {
            let Some((_, oldest)) = entries.queue.pop_front() else { break };
            entries.bytes -= oldest.picture.bytes();
        }
    }

    /// How many bytes of pixels are here.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Color, Format, Picture, PictureInfo, Size};

    fn picture(width: u32) -> Arc<Decoded> {
        let size = Size { width, height: 1 };
        let info = PictureInfo { format: Format::Png, size, alpha: false, frames: 1, profile: String::new() };
        Arc::new(Decoded { picture: Picture::filled(size, Color::WHITE).unwrap(), info })
    }

    #[test]
    fn the_longest_unused_goes_first_and_the_bytes_stay_under_the_limit() {
        let cache = PixelCache::new(100);
        let keys = [b"a", b"b", b"c", b"d"].map(|key| Sha256::of(key));
        cache.insert(keys[0], picture(40));
        cache.insert(keys[1], picture(40));
        assert!(cache.get(&keys[0]).is_some());
        cache.insert(keys[2], picture(40));
        assert!(cache.get(&keys[0]).is_some(), "it was used");
        assert!(cache.get(&keys[1]).is_none(), "it was not");
        assert_eq!(cache.bytes(), 80);
        cache.insert(keys[3], picture(51));
        assert!(cache.get(&keys[3]).is_none(), "more than half of the cache");
        cache.insert(keys[0], picture(40));
        assert_eq!(cache.bytes(), 80, "inserting again changes nothing");
    }
}
