//! The report in a headless browser, opened from disk as its reader opens it.
//!
//! `cargo xtask ci --browser` runs it; it installs nothing, and where there is no browser it says so and passes. Screenshots go to
//! `target/tmp/report-*.png`, for people to look at.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking, and say what they left out")]

#[path = "../../common/browser.rs"]
mod browser;
mod made;
mod page;
mod report;

use browser::browser;

#[test]
fn the_report_works_in_a_browser() {
    let Some(browser) = browser() else {
        println!("skipped: there is no browser on the path, and CHROME names none");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let run = made::run(folder.path());
    let page = page::Page::open(&browser, &run.join("report.html"));
    report::opens_without_a_word(&page);
    report::the_video_plays_with_sound(&page);
    report::the_listener_is_drawn_and_turns(&page);
    report::the_listener_follows_the_video(&page);
    report::the_table_sorts_filters_and_opens_videos(&page);
    report::the_keyboard_is_enough(&page);
    report::it_fits_a_phone_and_the_dark(&page);
    report::nothing_went_wrong(&page);
    drop(page);
    let compared = page::Page::open(&browser, &made::comparison(folder.path()));
    report::a_comparison_has_its_parts(&compared);
    report::nothing_went_wrong(&compared);
}
