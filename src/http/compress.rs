//! Content codings: gzip, br and zstd of answers, and of requests' bodies
//! within a bound (RFC 9110 §8.4, §12.5.3, RFC 8878).

use std::io::{self, Read, Write};

use bytes::Bytes;

/// Answers shorter than this are sent as they are.
const LEAST_BYTES: usize = 1024;

/// The codings a request's body may have, as Accept-Encoding writes them.
pub(super) const ACCEPTED: &str = "gzip, br, zstd, deflate";

/// RFC 9659: the window of zstd in HTTP is at most 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// A content coding we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// The name in Content-Encoding.
    pub(super) fn name(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }
}

/// Whether a media type gets smaller by compression, which is said of text.
pub(super) fn is_text(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || essence.ends_with("/xml")
        || essence.ends_with("+xml")
        || essence.ends_with("/json")
        || essence.ends_with("+json")
}

/// The coding to use for an answer: the one the client likes best, of those
/// liked equally the one that costs us least. RFC 9110 §12.5.3
pub(super) fn choose(accept_encoding: &str, body_bytes: usize) -> Option<Coding> {
    if body_bytes < LEAST_BYTES {
        return None;
    }
    let mut best = None;
    let mut best_weight = 0;
    for coding in [Coding::Zstd, Coding::Gzip, Coding::Brotli] {
        let weight = weight(accept_encoding, coding.name());
        if weight > best_weight {
            best = Some(coding);
            best_weight = weight;
        }
    }
    best
}

/// The weight of a coding in thousandths; 0 if it is not wanted.
fn weight(accept_encoding: &str, name: &str) -> u32 {
    let mut any = 0;
    for item in accept_encoding.split(',') {
        let mut parts = item.split(';');
        let coding = parts.next().unwrap_or_default().trim();
        let weight = parts
            .find_map(|part| {
                let (key, value) = part.split_once('=')?;
                key.trim()
                    .eq_ignore_ascii_case("q")
                    .then(|| thousandths(value.trim()))
            })
            .unwrap_or(1000);
        let alias = name == "gzip" && coding.eq_ignore_ascii_case("x-gzip");
        if coding.eq_ignore_ascii_case(name) || alias {
            return weight;
        }
        if coding == "*" {
            any = weight;
        }
    }
    any
}

/// RFC 9110 §12.4.2; what is no weight is none.
fn thousandths(value: &str) -> u32 {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, digits) {
        ("0", true) => format!("{fraction:0<3}").parse().unwrap_or(0),
        ("1", true) if fraction.bytes().all(|byte| byte == b'0') => 1000,
        _ => 0,
    }
}

/// The body in a coding.
pub(super) fn encode(body: &[u8], coding: Coding) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Zstd => zstd::stream::encode_all(body, 3),
        Coding::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(5));
            writer.write_all(body)?;
            writer.finish()
        }
        Coding::Brotli => {
            let mut out = Vec::new();
            let params = brotli::enc::BrotliEncoderParams {
                quality: 4,
                lgwin: 20,
                ..Default::default()
            };
            brotli::BrotliCompress(&mut &*body, &mut out, &params)?;
            Ok(out)
        }
    }
}

/// Why a request's body was not decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// A coding we do not know, or more than two on top of each other: 415.
    Unknown,
    /// More bytes than allowed: 413.
    TooLarge,
    /// Not what the coding says it is: 400.
    Damaged,
}

/// A body without the codings that Content-Encoding lists, the last applied
/// being the first removed. RFC 9110 §8.4
pub(super) fn decode(
    body: Bytes,
    content_encoding: &str,
    max_bytes: usize,
) -> Result<Bytes, DecodeError> {
    let codings: Vec<String> = content_encoding
        .split(',')
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !name.is_empty() && name != "identity")
        .collect();
    if codings.len() > 2 {
        return Err(DecodeError::Unknown);
    }
    let mut body = body;
    for name in codings.iter().rev() {
        let read = match name.as_str() {
            "gzip" | "x-gzip" => bounded(flate2::read::MultiGzDecoder::new(&*body), max_bytes),
            "deflate" => bounded(flate2::read::ZlibDecoder::new(&*body), max_bytes),
            "br" => bounded(brotli::Decompressor::new(&*body, 4096), max_bytes),
            "zstd" => {
                let mut reader =
                    zstd::stream::read::Decoder::new(&*body).map_err(|_| DecodeError::Damaged)?;
                reader
                    .window_log_max(ZSTD_WINDOW_LOG)
                    .map_err(|_| DecodeError::Damaged)?;
                bounded(reader, max_bytes)
            }
            _ => return Err(DecodeError::Unknown),
        };
        body = Bytes::from(read?);
    }
    Ok(body)
}

fn bounded(reader: impl Read, max_bytes: usize) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    let limit = (max_bytes as u64).saturating_add(1);
    reader
        .take(limit)
        .read_to_end(&mut out)
        .map_err(|_| DecodeError::Damaged)?;
    if out.len() > max_bytes {
        return Err(DecodeError::TooLarge);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coding_follows_the_clients_weights() {
        for (accept, expected) in [
            ("gzip, deflate, br", Some(Coding::Gzip)),
            ("gzip;q=0.5, br;q=1.0", Some(Coding::Brotli)),
            ("zstd, br, gzip", Some(Coding::Zstd)),
            ("*", Some(Coding::Zstd)),
            ("*;q=0.5, zstd;q=0", Some(Coding::Gzip)),
            ("GZIP", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("identity", None),
            ("deflate", None),
            ("gzip;q=2", None),
            ("gzip;q=1.5", None),
            ("gzip;q=0.001", Some(Coding::Gzip)),
            ("gzip;q=0.", None),
            ("gzip;q=x", None),
            ("", None),
        ] {
            assert_eq!(choose(accept, 5000), expected, "{accept}");
        }
        assert_eq!(choose("gzip", LEAST_BYTES - 1), None);
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let text = Bytes::from("BEGIN:VCALENDAR\r\n".repeat(500));
        for coding in [Coding::Zstd, Coding::Gzip, Coding::Brotli] {
            let coded = Bytes::from(encode(&text, coding).unwrap());
            assert!(coded.len() < text.len() / 4, "{coding:?}");
            assert_eq!(
                decode(coded.clone(), coding.name(), text.len()),
                Ok(text.clone()),
                "{coding:?}"
            );
            let small = decode(coded.clone(), coding.name(), text.len() - 1);
            assert_eq!(small, Err(DecodeError::TooLarge), "{coding:?}");
            let cut = coded.slice(..coded.len() / 2);
            assert_eq!(
                decode(cut, coding.name(), text.len()),
                Err(DecodeError::Damaged),
                "{coding:?}"
            );
            let twice = Bytes::from(encode(&coded, Coding::Gzip).unwrap());
            let codings = format!("{}, gzip", coding.name());
            assert_eq!(
                decode(twice, &codings, text.len()),
                Ok(text.clone()),
                "{coding:?}"
            );
        }
    }

    #[test]
    fn unknown_codings_are_told_apart_from_damage() {
        let body = Bytes::from_static(b"x");
        assert_eq!(
            decode(body.clone(), "compress", 10),
            Err(DecodeError::Unknown)
        );
        assert_eq!(
            decode(body.clone(), "gzip, gzip, gzip", 10),
            Err(DecodeError::Unknown)
        );
        assert_eq!(decode(body.clone(), "gzip", 10), Err(DecodeError::Damaged));
        assert_eq!(decode(body.clone(), "identity", 10), Ok(body));
    }

    #[test]
    fn text_is_told_by_its_media_type() {
        for yes in [
            "application/xml; charset=utf-8",
            "text/calendar",
            "text/html;charset=utf-8",
            "application/calendar+json",
        ] {
            assert!(is_text(yes), "{yes}");
        }
        for no in ["image/png", "application/zip", ""] {
            assert!(!is_text(no), "{no}");
        }
    }
}
