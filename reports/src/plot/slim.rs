//! Drawings made small: what no eye can see is left out of their text.
//!
//! A report holds some hundred drawings, and paths of histograms and timelines are most of its bytes.

/// A point may lie this far, in pixels of the drawing, from the line that replaces it. Coordinates are whole pixels, so
/// below one half only rounding is taken away.
const TOLERANCE: f64 = 0.6;

/// Attributes that say what is so anyway, and what stands before a text that needs no line of its own.
const IDLE: [(&str, &str); 4] = [
    (" opacity=\"1\"", ""),
    (" font-family=\"sans-serif\"", ""),
    ("\">\n", "\">"),
    ("\n</text>", "</text>"),
];

/// The same drawing with fewer points and attributes. As in [`super::ink::themed`], patterns with quotes cannot come from
/// a name, because the backend writes quotes inside text as `&quot;`.
pub(super) fn slim(svg: &str) -> String {
    const POINTS: &str = " points=\"";
    let mut out = String::with_capacity(svg.len());
    let mut rest = svg;
    while let Some(start) = rest.find(POINTS).map(|place| place + POINTS.len()) {
        let Some(length) = rest[start..].find('"') else {
            break;
        };
        out.push_str(&rest[..start]);
        let list = &rest[start..start + length];
        match parsed(list) {
            Some(points) => out.push_str(&written(&simplified(&points))),
            None => out.push_str(list),
        }
        rest = &rest[start + length..];
    }
    out.push_str(rest);
    IDLE.iter()
        .fold(out, |text, (idle, short)| text.replace(idle, short))
}

fn parsed(list: &str) -> Option<Vec<(i32, i32)>> {
    let point = |pair: &str| {
        let (x, y) = pair.split_once(',')?;
        Some((x.parse().ok()?, y.parse().ok()?))
    };
    list.split_whitespace().map(point).collect()
}

fn written(points: &[(i32, i32)]) -> String {
    let pairs: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
    pairs.join(" ")
}

/// Ramer (1972), Douglas and Peucker (1973): of each stretch the farthest point is kept until all others are near. The
/// ends stay. An explicit stack, because a spiky timeline could make recursion as deep as it is long.
fn simplified(points: &[(i32, i32)]) -> Vec<(i32, i32)> {
    let Some(last) = points.len().checked_sub(1) else {
        return Vec::new();
    };
    let mut kept = vec![false; points.len()];
    (kept[0], kept[last]) = (true, true);
    let mut stretches = vec![(0, last)];
    while let Some((from, to)) = stretches.pop() {
        let farthest = (from + 1..to)
            .map(|index| (distance(points[index], points[from], points[to]), index))
            .max_by(|one, other| one.0.total_cmp(&other.0));
        if let Some((_, index)) = farthest.filter(|(far, _)| *far > TOLERANCE) {
            kept[index] = true;
            stretches.extend([(from, index), (index, to)]);
        }
    }
    let pairs = points.iter().zip(kept);
    pairs.filter(|(_, kept)| *kept).map(|(point, _)| *point).collect()
}

/// From a point to the stretch between two others.
fn distance(point: (i32, i32), from: (i32, i32), to: (i32, i32)) -> f64 {
    let float = |(x, y): (i32, i32)| (f64::from(x), f64::from(y));
    let ((px, py), (fx, fy), (tx, ty)) = (float(point), float(from), float(to));
    let (dx, dy) = (tx - fx, ty - fy);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 {
        (((px - fx) * dx + (py - fy) * dy) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (px - along.mul_add(dx, fx)).hypot(py - along.mul_add(dy, fy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn straight_and_repeated_points_go_and_corners_stay() {
        let line = [(0, 0), (0, 0), (1, 0), (2, 0), (9, 0), (9, 5), (9, 9)];
        assert_eq!(simplified(&line), [(0, 0), (9, 0), (9, 9)]);
        assert_eq!(simplified(&[]), []);
        assert_eq!(simplified(&[(3, 4)]), [(3, 4)]);
        assert_eq!(
            simplified(&[(0, 0), (5, 40), (10, 0)]),
            [(0, 0), (5, 40), (10, 0)]
        );
    }

    #[test]
    fn a_drawing_keeps_its_other_text() {
        let drawing = "<a opacity=\"1\" points=\"0,0 1,0 2,0 \" x=\"1\"/>\n<text font-size=\"12.5\">\nopacity=1 &quot;\n</text>";
        assert_eq!(
            slim(drawing),
            "<a points=\"0,0 2,0\" x=\"1\"/>\n<text font-size=\"12.5\">opacity=1 &quot;</text>"
        );
        for same in ["", " points=\"", "<p points=\"a,b c\"/>", "<p points=\"1.5,2\"/>"] {
            assert_eq!(slim(same), same);
        }
    }

    proptest! {
        #[test]
        fn every_point_left_out_lies_near_the_line(points in prop::collection::vec((0i32..420, 0i32..290), 1..60)) {
            let mut points = points;
            points.sort_unstable();
            let slimmed = simplified(&points);
            prop_assert_eq!((slimmed.first(), slimmed.last()), (points.first(), points.last()));
            for point in &points {
                let near = slimmed.windows(2).any(|pair| distance(*point, pair[0], pair[1]) <= TOLERANCE);
                prop_assert!(near || slimmed.contains(point), "{:?}", point);
            }
        }
    }
}
