use super::*;
use crate::plots::LossPoint;
use crate::scores::{Better, Kind, Mode, ScoreRow};
use crate::svg::Svg;

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
        examples: vec![Example { name: name(), caption: name(), video: Some(video), scores, figures: vec![figure.clone()] }],
        history: LossHistory { train: (0..5).map(point).collect(), validation: vec![], best_step: Some(3) },
        figures: vec![figure],
        clips: Some(ClipTable { metrics: vec![metric], rows }),
        rerun: vec![name()],
        configuration: name(),
        environment: vec![(name(), name())],
        notes: vec![name()],
    }
}

/// Every `<name …>` of the page outside `<style>` and `<script>`, and whether all that open also close, in order.
fn tags(page: &str) -> Vec<String> {
    const VOID: [&str; 4] = ["meta", "link", "img", "!DOCTYPE"];
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
    assert_eq!(tags.iter().filter(|t| *t == "script").count(), 1, "the page's own");
    assert_eq!(tags.iter().filter(|t| *t == "img").count(), 1, "the picture");
    assert!(!page.contains("<img src=x") && !page.contains('\u{1b}'));
    assert!(!page.contains("onerror=alert(2)>"), "its > is an entity");
    assert_eq!(page.matches("&lt;/script&gt;&lt;script&gt;alert(1)").count(), page.matches("alert(1)").count());
}

#[test]
fn the_page_asks_the_network_for_nothing() {
    let page = full().html().unwrap();
    for reference in page.split("src=\"").skip(1).chain(page.split("href=\"").skip(1)) {
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
    let inside = full().write_within(&path, 16).unwrap();
    assert!(inside.beside.is_empty(), "12 bytes are 16 in base64");
    assert!(std::fs::read_to_string(&path).unwrap().contains("data:video/mp4;base64,bXA0IGJ5dGVz"));
    let written = full().write_within(&path, 15).unwrap();
    assert_eq!(written.beside, [folder.path().join("my report#1-videos/example-1.mp4")]);
    assert_eq!(std::fs::read(&written.beside[0]).unwrap(), b"mp4 bytes");
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.contains("src=\"my%20report%231-videos/example-1.mp4\"") && !page.contains("data:video"));
    assert_eq!(written.bytes, page.len() as u64);
}

#[test]
fn a_report_survives_json_and_gives_the_same_page() {
    let mut report = full();
    report.clips = None; // NaN is no JSON
    let again: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(again, report);
    assert_eq!(again.html().unwrap(), report.html().unwrap());
}
