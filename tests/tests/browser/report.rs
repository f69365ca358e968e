//! What the report must do.

use crate::page::Page;
use serde_json::Value;

/// It opens, with everything in it.
pub(crate) fn opens_without_a_word(page: &Page) {
    assert!(page.says("return document.readyState === 'complete' && document.styleSheets[0].cssRules.length > 50"));
    for id in ["scores", "examples", "plots", "clips", "again", "configuration", "environment", "notes"] {
        assert!(page.says(&format!("return document.getElementById('{id}') !== null")), "{id}");
    }
    page.picture("light");
    // Players are made when they come into sight.
    page.run("$('#examples').scrollIntoView({ behavior: 'instant' })");
    assert!(page.says("return await until(() => $('.player video'))"), "no player was made");
    assert_eq!(page.errors(), Vec::<String>::new());
}

pub(crate) fn the_video_plays_with_sound(page: &Page) {
    let played = page.run(
        "const video = $('.player video'); video.muted = false; video.loop = false; await video.play();
         const moved = await until(() => video.currentTime > 0.3);
         const sound = await until(() => video.webkitAudioDecodedByteCount > 0, 5000);
         video.pause(); video.loop = true;
         return { moved, sound, frames: video.webkitDecodedFrameCount, width: video.videoWidth, error: video.error };",
    );
    assert_eq!(played["moved"], true, "{played}");
    assert_eq!(played["sound"], true, "no sound was decoded: {played}");
    assert!(played["frames"].as_f64() > Some(3.0) && played["width"].as_f64() > Some(600.0), "{played}");
    assert_eq!(played["error"], Value::Null);
}

pub(crate) fn the_listener_is_drawn_and_turns(page: &Page) {
    let drawn = page.run(
        "const canvas = $('.player canvas'); canvas.scrollIntoView({ block: 'center', behavior: 'instant' });
         await until(() => pixels(canvas).some((v) => v > 0)); await wait(200);
         const data = pixels(canvas); window.before = data;
         const opaque = data.filter((v, i) => i % 4 === 3 && v > 200).length, colours = new Set();
         for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) colours.add((data[i] >> 4) * 256 + (data[i + 1] >> 4) * 16 + (data[i + 2] >> 4));
         const box = canvas.getBoundingClientRect();
         return { part: opaque / (canvas.width * canvas.height), colours: colours.size, x: box.x + box.width / 2, y: box.y + box.height / 2,
                  listeners: [...$('.player select').options].map((o) => o.text) };",
    );
    let part = drawn["part"].as_f64().unwrap();
    assert!((0.1..0.95).contains(&part) && drawn["colours"].as_f64() > Some(20.0), "{drawn}");
    assert_eq!(drawn["listeners"], serde_json::json!(["True listener", "Sample 1", "Sample 2"]));
    let (x, y) = (drawn["x"].as_f64().unwrap(), drawn["y"].as_f64().unwrap());
    page.picture("3d");
    page.drag((x, y), (x + 80.0, y - 20.0));
    let turned = "await wait(300); const now = pixels($('.player canvas')), changed = different(now, window.before); window.before = now; return changed";
    assert!(page.run(turned).as_f64() > Some(2000.0), "a drag does not turn it");
    page.picture("3d-turned");
    page.run("$('.player canvas').focus({ preventScroll: true })");
    for key in ["ArrowLeft", "ArrowUp"] {
        page.key(key);
        assert!(page.run(turned).as_f64() > Some(300.0), "{key} does not turn it");
    }
    page.run("const select = $('.player select'); select.selectedIndex = 1; select.dispatchEvent(new Event('change'));");
    assert!(page.run(turned).as_f64() > Some(300.0), "another listener looks the same");
}

/// The drawing changes as the video's time moves, and is the same again at the same time.
pub(crate) fn the_listener_follows_the_video(page: &Page) {
    let seen = page.run(
        "const video = $('.player video'), canvas = $('.player canvas'), player = $('.player').player, shots = [];
         for (const time of [0.1, 1.4, 0.1]) {
           video.currentTime = time;
           await until(() => !video.seeking && Math.abs(player.time - time) < 0.05);
           await wait(200);
           shots.push(pixels(canvas));
         }
         return { moved: different(shots[0], shots[1]), same: different(shots[0], shots[2]), duration: player.model.duration, video: video.duration };",
    );
    assert!(seen["moved"].as_f64() > Some(100.0) && seen["same"] == 0, "{seen}");
    assert!((seen["duration"].as_f64().unwrap() - seen["video"].as_f64().unwrap()).abs() < 0.1, "{seen}");
}

pub(crate) fn the_table_sorts_filters_and_opens_videos(page: &Page) {
    let sorted = page.run(
        "const table = $('table.sortable'), heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells], all = [];
         for (const column of [1, 1, 0, 2]) {
           heads[column].querySelector('button').click();
           const cells = [...table.tBodies[0].rows].map((row) => row.cells[column]);
           all.push([heads[column].ariaSort, cells.map((cell) => (column ? Number(cell.dataset.value) : cell.textContent)), heads.filter((h) => h.ariaSort !== 'none').length]);
         }
         return all;",
    );
    let column = |i: usize| sorted[i][1].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
    assert_eq!((&sorted[0][0], &sorted[1][0], &sorted[2][0]), (&"descending".into(), &"ascending".into(), &"ascending".into()));
    assert!(column(0).len() == 4 && column(0).is_sorted_by(|a, b| a >= b) && column(1).is_sorted());
    assert!(column(3).is_sorted_by(|a, b| a >= b));
    let names: Vec<_> = sorted[2][1].as_array().unwrap().iter().map(Value::to_string).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert!((0..4).all(|i| sorted[i][2] == 1), "one head says how it is sorted");

    let filtered = page.run(
        "const table = $('table.sortable'), filter = $('.filter'), name = table.tBodies[0].rows[0].querySelector('.clip').textContent;
         filter.value = name.slice(-10); filter.dispatchEvent(new Event('input'));
         const shown = [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.querySelector('.clip').textContent);
         const said = $('.count').textContent; filter.value = ''; filter.dispatchEvent(new Event('input'));
         return { name, shown, said };",
    );
    assert_eq!(filtered["shown"], serde_json::json!([filtered["name"]]), "{filtered}");
    assert_eq!(filtered["said"], "1 of 4 clips");

    let opened = page.run(
        "const button = $('button.play'); button.click();
         const detail = button.closest('tr').nextElementSibling;
         const plays = await until(() => detail.querySelector('video')?.currentTime > 0.2);
         const drawn = await until(() => pixels(detail.querySelector('canvas')).some((v) => v > 0));
         const expanded = button.ariaExpanded;
         $('table.sortable thead button').click();
         const kept = button.closest('tr').nextElementSibling === detail;
         return { plays, drawn, expanded, kept };",
    );
    assert_eq!(opened, serde_json::json!({ "plays": true, "drawn": true, "expanded": "true", "kept": true }));
    page.picture("row");
    assert!(page.says("$('button.play[aria-expanded=true]').click(); return $('tr.detail') === null"));
}

pub(crate) fn the_keyboard_is_enough(page: &Page) {
    page.run("window.scrollTo(0, 0); $('table.sortable thead button').focus(); document.activeElement.dataset.here = '1';");
    let before = page.run("return $('table.sortable th[aria-sort]').ariaSort");
    page.key("Enter");
    assert_ne!(page.run("return $('table.sortable th[aria-sort]').ariaSort"), before);
    // From the top, the tabulator reaches the video, the listener, the table and the commands.
    page.run("document.activeElement.blur(); window.reached = new Set(); document.addEventListener('focusin', (e) => window.reached.add(e.target.tagName))");
    for _ in 0..60 {
        page.key("Tab");
    }
    for tag in ["A", "VIDEO", "SELECT", "CANVAS", "BUTTON", "SUMMARY", "INPUT"] {
        assert!(page.says(&format!("return window.reached.has('{tag}')")), "{tag} is not reached");
    }
}

pub(crate) fn it_fits_a_phone_and_the_dark(page: &Page) {
    let ground = "return getComputedStyle(document.body).backgroundColor";
    let light = page.run(ground);
    page.prefers("dark");
    assert_ne!(page.run(ground), light);
    page.run("window.scrollTo(0, 0); await wait(400)");
    page.picture("dark");
    page.run("$('#examples').scrollIntoView({ behavior: 'instant' }); await wait(400)");
    page.picture("dark-examples");
    page.run("$('#theme').click()");
    assert_eq!(page.run(ground), light, "the button changes it back");
    page.run("delete document.documentElement.dataset.theme");
    page.prefers("light");
    page.width(360, 740);
    page.run("window.scrollTo(0, 0); await wait(600)");
    for part in ["top", "scores", "examples", "plots", "clips", "environment"] {
        if part != "top" {
            page.run(&format!("document.getElementById('{part}').scrollIntoView({{ behavior: 'instant' }}); await wait(400)"));
        }
        assert!(page.says("return document.documentElement.scrollWidth <= 360"), "{part}: the page is wider than a phone");
        page.picture(&format!("phone-{part}"));
    }
    page.run("const button = $('button.play'); button.click(); await wait(500); button.closest('tr').nextElementSibling.scrollIntoView({ behavior: 'instant' })");
    assert!(page.says("const box = $('tr.detail video').getBoundingClientRect(); return box.left >= 0 && box.right <= 360"));
    page.picture("phone-row");
    page.run("$('button.play[aria-expanded=true]').click()");
    page.width(1280, 900);
}

pub(crate) fn a_comparison_has_its_parts(page: &Page) {
    assert!(page.says("return $('#scores tr.difference .gain, #scores tr.difference .loss') !== null"));
    assert!(page.says("return [...document.querySelectorAll('#settings tbody th')].some((th) => th.textContent === 'train.epochs')"));
    assert!(page.says("return $('#settings tbody').rows.length === 1"), "{}", page.run("return $('#settings').textContent"));
    assert!(page.says("return document.querySelectorAll('#plots svg.plot').length >= 3"));
    assert!(page.says("return $('#clips tbody').rows.length === 4 && $('#clips tbody').rows[0].cells.length === 7"));
    page.picture("compare");
    page.run("$('#clips').scrollIntoView({ behavior: 'instant' }); await wait(300)");
    page.picture("compare-clips");
}

pub(crate) fn nothing_went_wrong(page: &Page) {
    assert_eq!(page.errors(), Vec::<String>::new());
}
