//! Videos and 3D listeners inside the page: base64 in script elements that nothing runs, decoded when somebody looks at them.
//!
//! A `src="data:…"` would make the browser decode every video while it opens the page, and a page opened from disk may not fetch.

use super::{Animation, Example, Report};
use crate::escape::escape;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes of base64 for so many bytes.
pub(super) fn encoded_size(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(3) * 4
}

/// The file of the `i`-th example's video.
pub(super) fn video_name(i: usize) -> String {
    format!("example-{}.mp4", i + 1)
}

/// The media of all examples; `folder`: where the videos lie, if not inside.
pub(super) fn store(report: &Report, folder: Option<&str>) -> String {
    let mut whole = Vec::new();
    report.examples.iter().enumerate().map(|(i, example)| media(i, example, folder, &mut whole)).collect()
}

/// A listener that the page holds whole: its element, and its bytes.
type Whole<'a> = (String, &'a [u8]);

fn media<'a>(i: usize, example: &'a Example, folder: Option<&str>, whole: &mut Vec<Whole<'a>>) -> String {
    let id = i + 1;
    let mut out = String::new();
    if let Some(video) = &example.video {
        let (width, height) = (video.width, video.height);
        out.push_str(&format!("<script type=\"text/plain\" id=\"video-{id}\" data-width=\"{width}\" data-height=\"{height}\">"));
        match folder {
            Some(folder) => out.push_str(&percent(&format!("{folder}/{}", video_name(i)))),
            None => push_data(&mut out, "video/mp4", &video.mp4),
        }
        out.push_str("</script>\n");
    }
    for (k, Animation { label, glb }) in example.animations.iter().enumerate() {
        let (element, label) = (format!("glb-{id}-{}", k + 1), escape(label));
        out.push_str(&format!("<script type=\"text/plain\" id=\"{element}\" data-clip=\"{id}\" data-label=\"{label}\""));
        // One face in many clips: the file begins with the same mesh, and only what follows differs.
        let alike = whole.iter().map(|(other, bytes)| (shared(bytes, glb), other)).max_by_key(|(bytes, _)| *bytes);
        let rest = match alike.filter(|(bytes, _)| 2 * bytes > glb.len()) {
            Some((bytes, other)) => {
                out.push_str(&format!(" data-like=\"{other}\" data-shared=\"{bytes}\""));
                &glb[bytes..]
            }
            None => {
                whole.push((element, glb));
                glb
            }
        };
        out.push('>');
        push_data(&mut out, "model/gltf-binary", rest);
        out.push_str("</script>\n");
    }
    out
}

/// With how many equal bytes two files begin.
fn shared(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn push_data(out: &mut String, kind: &str, bytes: &[u8]) {
    out.push_str(&format!("data:{kind};base64,"));
    STANDARD.encode_string(bytes, out);
}

/// A path for a link: what is neither a letter, a digit nor one of `-_./` as %XX.
fn percent(path: &str) -> String {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    path.bytes().map(|b| if safe(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
