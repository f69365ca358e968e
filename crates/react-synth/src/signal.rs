//! Shapes in time: envelopes of events, slow noise.

use react_random::Draws;

/// 0 at or below 0, 1 at or above 1, 3x² − 2x³ between.
pub(crate) fn smoothstep(x: f32) -> f32 {
    let x = x.clamp(0.0, 1.0);
    x * x * (3.0 - 2.0 * x)
}

/// An event's envelope at frame t: rises over the first quarter of its length, falls over the last third, 0 outside.
pub(crate) fn envelope(t: f32, onset: f32, length: f32) -> f32 {
    let u = (t - onset) / length;
    if u <= 0.0 || u >= 1.0 { 0.0 } else { smoothstep(u / 0.25) * smoothstep((1.0 - u) / 0.35) }
}

/// A stationary first-order process of standard deviation `sd`: xₜ = ρ·xₜ₋₁ + √(1 − ρ²)·sd·zₜ.
pub(crate) struct Slow {
    rho: f32,
    sd: f32,
    x: f32,
}

impl Slow {
    pub(crate) fn new(rho: f32, sd: f32, draws: &mut Draws) -> Self {
        Self { rho, sd, x: sd * draws.normal() }
    }

    pub(crate) fn next(&mut self, draws: &mut Draws) -> f32 {
        let x = self.x;
        self.x = self.rho * x + (1.0 - self.rho * self.rho).sqrt() * self.sd * draws.normal();
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_rise_hold_and_fall() {
        let at = |t| envelope(t, 10.0, 20.0);
        assert_eq!([at(10.0), at(16.0), at(22.0), at(30.0)], [0.0, 1.0, 1.0, 0.0]);
        assert!((at(12.5) - 0.5).abs() < 1e-6);
    }

    #[test]
    fn slow_noise_keeps_its_spread() {
        let mut draws = Draws::new(1, "test", 0, 0);
        let mut noise = Slow::new(0.8, 0.5, &mut draws);
        let x: Vec<f32> = (0..20_000).map(|_| noise.next(&mut draws)).collect();
        let var = x.iter().map(|v| v * v).sum::<f32>() / x.len() as f32;
        assert!((var.sqrt() - 0.5).abs() < 0.03, "{}", var.sqrt());
    }
}
