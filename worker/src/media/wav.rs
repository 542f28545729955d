//! Sound without compression: 16 bits in a WAV file.

/// Sound of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    /// Samples of a second.
    pub rate: u32,
    /// The samples.
    pub samples: Vec<i16>,
}

impl Sound {
    /// How long it is, in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate.max(1))
    }

    /// Reads a WAV file of 16 bits and one channel. A program that writes one to a pipe does not know its length, so
    /// whatever follows the header counts.
    pub fn from_wav(bytes: &[u8]) -> Option<Sound> {
        let number = |at: usize, length: usize| -> Option<u32> {
            Some(bytes.get(at..at + length)?.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
        };
        if bytes.get(..4)? != b"RIFF" || bytes.get(8..12)? != b"WAVE" {
            return None;
        }
        let mut at = 12;
        let mut rate = None;
        loop {
            let (name, length) = (bytes.get(at..at + 4)?, number(at + 4, 4)? as usize);
            let body = at + 8;
            match name {
                b"fmt " => {
                    let (format, channels, bits) = (number(body, 2)?, number(body + 2, 2)?, number(body + 14, 2)?);
                    if (format, channels, bits) != (1, 1, 16) {
                        return None;
                    }
                    rate = number(body + 4, 4).filter(|rate| (1..=192_000).contains(rate));
                }
                b"data" => {
                    let data = &bytes[body..body.saturating_add(length).min(bytes.len())];
                    let samples = data.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
                    return Some(Sound { rate: rate?, samples });
                }
                _ => {}
            }
            at = body.checked_add(length)?.checked_add(length % 2)?;
        }
    }

    /// Writes a WAV file.
    pub fn to_wav(&self) -> Vec<u8> {
        let length = self.samples.len() as u32 * 2;
        let mut bytes = Vec::with_capacity(44 + length as usize);
        bytes.extend_from_slice(b"RIFF");
        bytes.extend_from_slice(&(length + 36).to_le_bytes());
        bytes.extend_from_slice(b"WAVEfmt ");
        bytes.extend_from_slice(&16u32.to_le_bytes());
        // Plain samples, one channel.
        bytes.extend_from_slice(&[1, 0, 1, 0]);
        bytes.extend_from_slice(&self.rate.to_le_bytes());
        bytes.extend_from_slice(&(self.rate * 2).to_le_bytes());
        // Two bytes for all channels, 16 bits.
        bytes.extend_from_slice(&[2, 0, 16, 0]);
        bytes.extend_from_slice(b"data");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend(self.samples.iter().flat_map(|sample| sample.to_le_bytes()));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_as_it_was_written_also_when_its_length_is_not_known() {
        let sound = Sound { rate: 22_050, samples: vec![0, 1, -1, i16::MAX, i16::MIN] };
        let mut wav = sound.to_wav();
        assert_eq!(Sound::from_wav(&wav).as_ref(), Some(&sound));
        wav[40..44].copy_from_slice(&0x7fff_f000u32.to_le_bytes());
        assert_eq!(Sound::from_wav(&wav).as_ref(), Some(&sound));
        for length in 0..44 {
            assert_eq!(Sound::from_wav(&wav[..length]), None, "{length} bytes");
        }
    }
}
