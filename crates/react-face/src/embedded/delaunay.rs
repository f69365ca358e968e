//! Delaunay triangulation in the plane (Bowyer and Watson), for a few hundred points once.

/// Triangles over `points`, counter-clockwise.
pub(super) fn triangulate(points: &[[f64; 2]]) -> Vec<[usize; 3]> {
    let n = points.len();
    let mut all = points.to_vec();
    all.extend([[-300.0, -200.0], [300.0, -200.0], [0.0, 400.0]]);
    let mut triangles = vec![[n, n + 1, n + 2]];
    for (i, p) in points.iter().enumerate() {
        let (bad, good): (Vec<_>, Vec<_>) = triangles.into_iter().partition(|t| in_circle(&all, *t, *p));
        triangles = good;
        let edges: Vec<[usize; 2]> = bad.iter().flat_map(|t| [[t[0], t[1]], [t[1], t[2]], [t[2], t[0]]]).collect();
        for edge in &edges {
            if !edges.contains(&[edge[1], edge[0]]) {
                triangles.push([edge[0], edge[1], i]);
            }
        }
    }
    triangles.retain(|t| t.iter().all(|v| *v < n));
    triangles
}

fn in_circle(points: &[[f64; 2]], t: [usize; 3], p: [f64; 2]) -> bool {
    let [a, b, c] = t.map(|v| [points[v][0] - p[0], points[v][1] - p[1]]);
    let square = |v: [f64; 2]| v[0] * v[0] + v[1] * v[1];
    let det = |u: [f64; 2], v: [f64; 2]| u[0] * v[1] - u[1] * v[0];
    square(a) * det(b, c) - square(b) * det(a, c) + square(c) * det(a, b) > 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_with_its_middle_is_four_triangles() {
        let triangles = triangulate(&[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.5, 0.5]]);
        assert_eq!(triangles.len(), 4);
        assert!(triangles.iter().all(|t| t.contains(&4)));
    }
}
