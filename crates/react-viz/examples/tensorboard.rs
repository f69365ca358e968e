//! Writes an event file with a curve and a picture: `cargo run -p react-viz --example tensorboard -- FOLDER`, then
//! `tensorboard --logdir FOLDER`.

use react_viz::tensorboard::Events;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::path::PathBuf::from(std::env::args().nth(1).ok_or("which folder?")?);
    let (picture, file) = (folder.join("picture.png"), folder.join("events.out.tfevents.example"));
    let rgb: Vec<u8> = (0..48 * 32).flat_map(|pixel| [(pixel % 48 * 5) as u8, (pixel / 48 * 8) as u8, 128]).collect();
    react_media::write_png(&picture, &rgb, 48, 32)?;
    let mut events = Events::create(&file)?;
    for step in 1..=100 {
        events.scalars(step, &[("train/loss", 1.0 / step as f64)])?;
    }
    events.picture(100, "faces", &std::fs::read(&picture)?)?;
    Ok(events.sync()?)
}
