use super::*;
use crate::plots::LossPoint;
use crate::scores::{Better, Kind, Mode, ScoreRow};
use crate::svg::Svg;

const GLB: &[u8] = b"glTF, or what should be";
const HOSTILE: &str = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&\u{1b}[31m";

fn full() -> Report {
    let name = || HOSTILE.to_owned();
    let metric = Metric::new(HOSTILE, Mode::Sound, Better::Higher, 2, HOSTILE);
    let row = ScoreRow { note: Some(name()), ..ScoreRow::new(HOSTILE, Kind::Model, &[Some(0.5)]) };
    let table = ScoreTable { title: name(), caption: name(), metrics: vec![metric.clone()], rows: vec![row] };
    let panel = Svg::new(HOSTILE, 10, 10, "<g></g>".to_owned(), 1).unwrap();
    let key = crate::svg::Key::new(HOSTILE, crate::Colour::Blue, crate::KeyShape::Line);
    let figure = Figure { title: name(), caption: name(), keys: vec![key], panels: vec![panel], columns: 1 };
    let video = Video { mp4: b"mp4 bytes".to_vec(), width: 64, height: 32 };
    let scores = vec![(metric.clone(), None)];
    let rows = vec![
        ClipRow { clip: name(), scores: vec![Score::from(0.25)] },
        ClipRow { clip: "b".into(), scores: vec![Score::from(f64::NAN)] },
        ClipRow { clip: "c".into(), scores: vec![] },
    ];
    let point = |step| LossPoint { step, total: Some(1.0 / (step + 1) as f64), ..Default::default() };
    Report {
        title: name(),
        run: name(),
        summary: name(),
        facts: vec![(name(), name())],
        tables: vec![table],
        pictures: vec![Picture { png: vec![1, 2, 3], alt: name(), caption: name() }],
        examples: vec![Example {
            name: name(),
            caption: name(),
            featured: true,
            video: Some(video),
            animations: vec![Animation { label: name(), glb: GLB.to_vec() }],
            scores,
            figures: vec![figure.clone()],
        }],
        history: LossHistory { train: (0..5).map(point).collect(), validation: vec![], best_step: Some(3) },
        figures: vec![figure],
        clips: Some(ClipTable { metrics: vec![metric], rows, note: name() }),
        settings: Some(Settings { runs: vec![name()], rows: vec![(name(), vec![name()])] }),
        rerun: vec![name()],
        configuration: name(),
        environment: vec![(name(), name())],
        notes: vec![name()],
    }
}

/// Every `<name …>` of the page outside `<style>` and `<script>`, and whether all that open also close, in order.
fn tags(page: &str) -> Vec<String> {
    const VOID: [&str; 6] = ["meta", "link", "img", "input", "wbr", "!DOCTYPE"];
    let (mut rest, mut open, mut all) = (page, Vec::new(), Vec::new());
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap().to_owned();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "in order");
            continue;
        }
        if name == "style" || name == "script" {
            rest = rest.split_once(&format!("</{name}>")).expect("it ends").1;
        } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name.clone());
        }
        all.push(name);
    }
    assert!(open.is_empty(), "{open:?}");
    all
}

#[test]
fn hostile_names_are_text() {
    let page = full().html().unwrap();
    let tags = tags(&page);
    assert_eq!(tags.iter().filter(|t| *t == "script").count(), 3, "a video, a listener, and the page's own");
    assert_eq!(tags.iter().filter(|t| *t == "img").count(), 1, "the picture");
    assert!(!page.contains("<img src=x") && !page.contains('\u{1b}'));
    assert!(!page.contains("onerror=alert(2)>"), "its > is an entity");
    // A name may break after its slashes.
    let whole = page.replace("<wbr>", "");
    assert_eq!(whole.matches("&lt;/script&gt;&lt;script&gt;alert(1)").count(), page.matches("alert(1)").count());
    assert_eq!(page.matches("<script>").count(), 1, "one runs");
}

#[test]
fn the_page_asks_the_network_for_nothing() {
    let page = full().html().unwrap();
    for reference in page.split(" src=\"").skip(1).chain(page.split("href=\"").skip(1)) {
        assert!(reference.starts_with("data:") || reference.starts_with('#'), "{}", &reference[..40.min(reference.len())]);
    }
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("@import"));
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn what_is_no_number_is_a_dash() {
    let page = full().html().unwrap();
    assert!(page.contains("<td data-value=\"0.25\">0.25</td>"));
    assert_eq!(page.matches("<td data-value=\"\">–</td>").count(), 2);
    assert!(!page.contains("NaN") && !page.contains("inf<"));
}

#[test]
fn an_empty_report_is_a_page() {
    let page = Report { title: "Nothing".into(), ..Default::default() }.html().unwrap();
    tags(&page);
    assert!(page.contains("<h1>Nothing</h1>") && !page.contains("<section"));
}

#[test]
fn large_videos_lie_beside_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my report#1.html");
    let whole = full().html().unwrap().len() as u64;
    let without = full().write_within(&path, 0).unwrap().bytes;
    // What stands instead of the video is its path.
    let limit = without + 12;
    assert!(whole < limit + 40, "9 bytes are 12 in base64");
    let inside = full().write_within(&path, limit).unwrap();
    assert_eq!((inside.beside.len(), inside.bytes), (0, whole));
    assert!(std::fs::read_to_string(&path).unwrap().contains("data:video/mp4;base64,bXA0IGJ5dGVz</script>"));
    let written = full().write_within(&path, limit - 1).unwrap();
    assert_eq!(written.beside, [folder.path().join("my report#1-videos/example-1.mp4")]);
    assert_eq!(std::fs::read(&written.beside[0]).unwrap(), b"mp4 bytes");
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.contains(">my%20report%231-videos/example-1.mp4</script>") && !page.contains("data:video"));
    assert_eq!(written.bytes, page.len() as u64);
}

#[test]
fn the_listener_in_the_page_is_the_file() {
    use base64::Engine as _;
    let page = full().html().unwrap();
    let (_, after) = page.split_once("data:model/gltf-binary;base64,").unwrap();
    let (packed, _) = after.split_once('<').unwrap();
    assert_eq!(base64::engine::general_purpose::STANDARD.decode(packed).unwrap(), GLB);
    assert!(page.contains("id=\"glb-1-1\" data-clip=\"1\" data-label=\"&lt;/script&gt;"));
}

#[test]
fn a_face_in_many_clips_is_in_the_page_once() {
    use base64::Engine as _;
    let glb = |end: &[u8]| [&[7; 100], end].concat();
    let example = |end: &[u8]| Example { animations: vec![Animation { label: "x".into(), glb: glb(end) }], ..Default::default() };
    let page = Report { examples: vec![example(b"first"), example(b"second, longer")], ..Default::default() }.html().unwrap();
    let element = |id: &str| page.split_once(&format!("id=\"{id}\"")).unwrap().1.split_once("</script>").unwrap().0;
    let bytes = |id: &str| base64::engine::general_purpose::STANDARD.decode(element(id).split_once("base64,").unwrap().1).unwrap();
    assert_eq!(bytes("glb-1-1"), glb(b"first"));
    assert!(element("glb-2-1").contains("data-like=\"glb-1-1\" data-shared=\"100\""));
    assert_eq!([&bytes("glb-1-1")[..100], &bytes("glb-2-1")].concat(), glb(b"second, longer"));
}

#[test]
fn the_same_report_is_the_same_page() {
    assert_eq!(full().html().unwrap(), full().html().unwrap());
}

#[test]
fn differences_have_signs_and_say_which_way_is_better() {
    let higher = Metric::new("FRCorr", Mode::Published, Better::Higher, 2, "");
    let lower = Metric::new("FRDist", Mode::Published, Better::Lower, 2, "");
    let row = ScoreRow::new("b − a", Kind::Difference, &[Some(0.25), Some(0.25)]);
    let still = ScoreRow::new("c − a", Kind::Difference, &[Some(0.0), None]);
    let table = ScoreTable { metrics: vec![higher.clone(), lower.clone()], rows: vec![row, still], ..Default::default() };
    let rows = vec![ClipRow { clip: "x".into(), scores: vec![Score::from(-0.5)] }];
    let clips = Some(ClipTable { metrics: vec![higher.difference("b − a")], rows, ..Default::default() });
    let page = Report { tables: vec![table], clips, ..Default::default() }.html().unwrap();
    assert!(page.contains("<td><span class=\"gain\">+0.25</span></td><td><span class=\"loss\">+0.25</span></td>"));
    assert!(page.contains("<td>0.00</td><td>–</td>"));
    assert!(page.contains("<td data-value=\"-0.5\"><span class=\"loss\">−0.50</span></td>"));
}

#[test]
fn clips_without_a_place_among_the_examples_open_from_the_table() {
    let video = Video { mp4: b"mp4".to_vec(), width: 4, height: 2 };
    let example = |name: &str, featured| Example { name: name.into(), featured, video: Some(video.clone()), ..Default::default() };
    let rows = ["a", "b", "c"].map(|clip| ClipRow { clip: clip.into(), scores: vec![] }).to_vec();
    let report = Report {
        examples: vec![example("a", true), example("b", false)],
        clips: Some(ClipTable { rows, ..Default::default() }),
        ..Default::default()
    };
    let page = report.html().unwrap();
    assert_eq!(page.matches("<article").count(), 1);
    assert_eq!(page.matches("class=\"play\" data-clip").count(), 2);
    assert!(page.contains("data-clip=\"2\"") && page.contains("2 of 3 have one"));
}

#[test]
fn a_report_survives_json_and_gives_the_same_page() {
    let mut report = full();
    report.clips = None; // NaN is no JSON
    let again: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(again, report);
    assert_eq!(again.html().unwrap(), report.html().unwrap());
}
