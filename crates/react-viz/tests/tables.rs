//! Scores as text, LaTeX and CSV.

use react_viz::{Better, Kind, Metric, Mode, Score, ScoreRow, ScoreTable, table};

fn scores() -> ScoreTable {
    let mut metrics: Vec<Metric> = Metric::react().into_iter().take(2).collect();
    metrics.push(Metric::new("FRSyn", Mode::Sound, Better::Lower, 2, ""));
    let mut ours = ScoreRow::new("ours & co_1", Kind::Model, &[None, Some(92.123), Some(f64::NAN)]);
    ours.scores[0] = Score::with_interval(2.1149, 1.9, 2.31);
    ours.note = Some("seed 0".to_owned());
    let rows = vec![
        ScoreRow::new("Real listeners", Kind::Truth, &[Some(8.73), Some(0.0), Some(48.0)]),
        ours,
        ScoreRow::new("x,\"y\"\u{1b}[2J", Kind::Baseline, &[Some(0.7)]),
    ];
    ScoreTable { title: "Validation".to_owned(), caption: String::new(), metrics, rows }
}

#[test]
fn text() {
    let want = "\
Validation
System                 FRCorr ↑   FRDist ↓  FRSyn ↓
                      published  published    sound
───────────────────────────────────────────────────
Real listeners            8.730       0.00    48.00
ours & co_1 [1]           2.115      92.12        –
                 [1.900, 2.310]
x,\"y\" [2J                 0.700          –        –
[1] seed 0
";
    assert_eq!(table::text(&scores()), want, "a name must not steer the terminal");
}

#[test]
fn latex() {
    let table = scores();
    assert_eq!(table::latex_row(&table, 0), r"Real listeners & 8.730 & 0.00 & 48.00 \\");
    assert_eq!(table::latex_row(&table, 1), r"ours \& co\_1 & \textbf{2.115} & 92.12 & -- \\");
    assert_eq!(table::latex_row(&table, 9), "");
    assert!(table::latex(&table).starts_with(
        "\\begin{tabular}{lrrr}\n\\toprule\nSystem & FRCorr $\\uparrow$ & FRDist $\\downarrow$ & FRSyn (sound) $\\downarrow$ \\\\\n"
    ));
}

#[test]
fn csv() {
    let want = "\
system,kind,FRCorr,FRCorr low,FRCorr high,FRDist,FRSyn (sound)
Real listeners,ground truth,8.73,,,0,48
ours & co_1,this run,2.1149,1.9,2.31,92.123,
\"x,\"\"y\"\"\u{1b}[2J\",baseline,0.7,,,,
";
    assert_eq!(table::csv(&scores()), want);
}
