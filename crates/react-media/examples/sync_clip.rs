//! Writes a clip whose picture flashes when its sound clicks, once a second, to check how players keep time:
//! `cargo run -p react-media --example sync_clip -- OUT.mp4 [SECONDS]`.

use react_media::{Audio, Quality, VideoWriter};

const FPS: usize = 25;
const RATE: usize = 44_100;
const SIDE: usize = 128;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let path = words.next().ok_or("wanted the file to write")?;
    let seconds: usize = words.next().map_or(Ok(10), |text| text.parse())?;
    let click = |at: usize| if at >= RATE && at % RATE < 40 { 0.9 * (1. - (at % RATE) as f32 / 40.) } else { 0. };
    let sound = Audio { samples: (0..seconds * RATE).map(click).collect(), rate: RATE as u32, channels: 1 };
    let mut video = VideoWriter::create_with_sound(path.as_ref(), SIDE, SIDE, FPS as f64, Quality::Good, &sound)?;
    for frame in 0..seconds * FPS {
        let shade = if frame >= FPS && frame % FPS < 2 { 240 } else { 30 };
        video.push(&vec![shade; SIDE * SIDE * 3])?;
    }
    video.finish()?;
    Ok(())
}
