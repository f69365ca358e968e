//! What the page's script makes into a player: the video, and beside it the listener in 3D.

use super::Example;
use crate::escape::escape;

/// Where a player goes; `None` where the example has nothing to play.
pub(super) fn host(i: usize, example: &Example) -> Option<String> {
    if example.video.is_none() && example.animations.is_empty() {
        return None;
    }
    // The room that the player will take, so that nothing jumps when it comes.
    let shape = example.video.as_ref().map_or_else(|| "1 / 1".to_owned(), |v| format!("{} / {}", v.width.max(1), v.height.max(1)));
    Some(format!(
        "<div class=\"player\" data-clip=\"{}\" data-name=\"{}\" style=\"--shape:{shape}\"></div>\n",
        i + 1,
        escape(&example.name)
    ))
}

/// The parts of a player, copied by the script.
pub(super) const TEMPLATE: &str = r#"<template id="player">
<div class="film"><video controls loop playsinline preload="metadata"></video></div>
<div class="solid">
<div class="solid-bar"><label>3D listener <select></select></label><button type="button" class="front" title="Turn the face to the front">Front</button></div>
<canvas tabindex="0" role="application" aria-roledescription="3D view"></canvas>
<div class="transport"><button type="button" class="go">Play</button><input type="range" min="0" max="1" step="any" value="0" aria-label="Time"><output>0.0 s</output></div>
<p class="hint">Drag or use the arrow keys to turn, <kbd>+</kbd> <kbd>−</kbd> to zoom, <kbd>0</kbd> for the front.</p>
</div>
</template>
<noscript><p class="notice">Videos, the 3D listeners and sorting need JavaScript; everything else on this page works without.</p></noscript>
"#;
