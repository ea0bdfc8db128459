//! Charts as inline SVG. The curves are stretched to the width that there is; what is written beside them is HTML, so that it can be
//! read at any width.

use std::fmt::Write;

use crate::report::format::Length;
use crate::report::html::escaped;

/// Lines over one horizontal axis.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    /// What the chart shows, in words, for those who do not see it.
    pub(super) summary: String,
    pub(super) y: Axis,
    pub(super) x: Axis,
    pub(super) lines: Vec<Line>,
    /// Where something begins: its place on the horizontal axis, and its name.
    pub(super) marks: Vec<(f64, String)>,
}

/// What is drawn in one color.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    /// Places on both axes, from the left to the right.
    pub(super) points: Vec<(f64, f64)>,
}

/// The values that an axis spans, and its labels.
#[derive(Debug)]
pub(super) struct Axis {
    from: f64,
    to: f64,
    is_logarithmic: bool,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to a round value that is not below `most`, with up to 5 labels.
    pub(super) fn linear(most: f64, label: impl Fn(f64) -> String) -> Self {
        let step = round_up(most.max(1e-9) / 4.0);
        let steps = (most / step).ceil().max(1.0);
        let ticks = counted_to(steps).map(|number| (number * step, label(number * step))).collect();
        Self { from: 0.0, to: steps * step, is_logarithmic: false, ticks }
    }

    /// Seconds from 0 to exactly `most`, with up to 5 labels.
    pub(super) fn seconds(most: f64) -> Self {
        const STEPS: [f64; 17] = [
            1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0,
            14_400.0, 21_600.0, 43_200.0,
        ];
        let step = STEPS.into_iter().find(|step| step * 4.5 >= most).unwrap_or_else(|| round_up(most / 4.0));
        let tick = |number| (number * step, Length(number * step).to_string());
        let ticks = counted_to((most / step).floor()).map(tick).collect();
        Self { from: 0.0, to: most.max(1.0), is_logarithmic: false, ticks }
    }

    /// With these labels, in the order of their values.
    pub(super) fn labelled(from: f64, to: f64, ticks: Vec<(f64, String)>) -> Self {
        Self { from, to, is_logarithmic: false, ticks }
    }

    /// Powers of ten around the values; 2 and 5 in between where there are few.
    pub(super) fn logarithmic(least: f64, most: f64, label: impl Fn(f64) -> String) -> Self {
        let least = least.max(1.0);
        let from = 10_f64.powf(least.log10().floor());
        let to = 10_f64.powf(most.max(least * 1.01).log10().ceil());
        let between: &[f64] = if to / from > 1_001.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers = counted_to((to / from).log10().round()).map(|power| from * 10_f64.powf(power));
        let values = powers.flat_map(|power| between.iter().map(move |factor| power * factor));
        let ticks = values.filter(|value| *value <= to * 1.001).map(|value| (value, label(value))).collect();
        Self { from, to, is_logarithmic: true, ticks }
    }

    /// 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let (from, to, value) = match self.is_logarithmic {
            true => (self.from.log10(), self.to.log10(), value.max(self.from).log10()),
            false => (self.from, self.to, value),
        };
        ((value - from) / (to - from)).clamp(0.0, 1.0)
    }
}

impl Chart<'_> {
    pub(super) fn html(&self) -> String {
        let mut out = String::new();
        let write = &mut out;
        let _ = write!(write, "<figure class=\"chart\"><figcaption><h3>{}</h3><ul>", escaped(self.title));
        for (number, line) in self.lines.iter().enumerate() {
            let _ = write!(write, "<li class=\"c{}\">{}</li>", number % COLORS, escaped(&line.name));
        }
        if !self.marks.is_empty() {
            write.push_str("<li class=\"mark\">from here on so many connections</li>");
        }
        let summary = escaped(&self.summary);
        let _ = write!(
            write,
            "</ul></figcaption><div class=\"plot\" role=\"img\" aria-label=\"{summary}\"><div class=\"y\">"
        );
        for (value, label) in &self.y.ticks {
            let _ = write!(
                write,
                "<span style=\"bottom:{:.2}%\">{}</span>",
                self.y.place(*value) * 100.0,
                escaped(label)
            );
        }
        let _ = write!(
            write,
            "</div><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
        );
        self.grid(write);
        for (number, line) in self.lines.iter().enumerate() {
            let _ =
                write!(write, "<polyline class=\"c{}\" points=\"{}\"/>", number % COLORS, self.points(line));
        }
        write.push_str("</svg><div class=\"x\">");
        for (value, label) in &self.x.ticks {
            let place = self.x.place(*value);
            let side = if place > 0.9 { " class=\"last\"" } else { "" };
            let _ =
                write!(write, "<span{side} style=\"left:{:.2}%\">{}</span>", place * 100.0, escaped(label));
        }
        write.push_str("</div><div class=\"marks\">");
        for (value, name) in &self.marks {
            let _ = write!(
                write,
                "<span style=\"left:{:.2}%\">{}</span>",
                self.x.place(*value) * 100.0,
                escaped(name)
            );
        }
        write.push_str("</div></div></figure>\n");
        out
    }

    fn grid(&self, write: &mut String) {
        for (value, _) in &self.y.ticks {
            let y = self.down(*value);
            let _ = write!(write, "<line x1=\"0\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
        }
        for (value, _) in &self.marks {
            let x = self.x.place(*value) * WIDTH;
            let _ =
                write!(write, "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{HEIGHT}\"/>");
        }
    }

    fn points(&self, line: &Line) -> String {
        let point = |(x, y): &(f64, f64)| format!("{:.1},{:.1}", self.x.place(*x) * WIDTH, self.down(*y));
        // A line of one point is not drawn: it goes on for a moment.
        let alone = line.points.first().filter(|_| line.points.len() == 1);
        let alone = alone.map(|(_, y)| format!("{WIDTH},{:.1}", self.down(*y)));
        line.points.iter().map(point).chain(alone).collect::<Vec<_>>().join(" ")
    }

    fn down(&self, value: f64) -> f64 {
        (1.0 - self.y.place(value)) * HEIGHT
    }
}

/// Colors that the style sheet has for lines.
const COLORS: usize = 6;
/// Of the drawing, before it is stretched.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;

/// 1, 2 or 5 times a power of ten, not below that.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0].into_iter().find(|round| round * power >= value * 0.999_999);
    round.unwrap_or(10.0) * power
}

/// 0, 1, 2 and so on up to a small number.
fn counted_to(most: f64) -> impl Iterator<Item = f64> {
    (0_u8..=100).map(f64::from).take_while(move |number| *number <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn axes_have_a_few_round_labels() {
        let number = |value: f64| value.to_string();
        assert_eq!(labels(&Axis::linear(37.0, number)), ["0", "10", "20", "30", "40"]);
        assert_eq!(labels(&Axis::linear(0.0, number)).len(), 2);
        assert_eq!(labels(&Axis::seconds(37.0)), ["0 s", "10 s", "20 s", "30 s"]);
        assert_eq!(labels(&Axis::seconds(181.0)), ["0 s", "1 min", "2 min", "3 min"]);
        assert_eq!(labels(&Axis::seconds(0.0)), ["0 s"]);
        assert_eq!(labels(&Axis::seconds(86_400.0)).len(), 5);
        assert_eq!(
            labels(&Axis::logarithmic(30.0, 800.0, number)),
            ["10", "20", "50", "100", "200", "500", "1000"]
        );
        assert_eq!(
            labels(&Axis::logarithmic(3.0, 80_000.0, number)),
            ["1", "10", "100", "1000", "10000", "100000"]
        );
    }

    #[test]
    fn points_are_where_their_values_are() {
        let axis = Axis::logarithmic(10.0, 1_000.0, |value| value.to_string());
        assert!((axis.place(100.0) - 0.5).abs() < 1e-9);
        assert!(
            axis.place(0.0).abs() < 1e-9 && (axis.place(1e9) - 1.0).abs() < 1e-9,
            "nothing leaves the chart"
        );
        let chart = Chart {
            title: "a < b",
            summary: "\"c\"".to_owned(),
            y: Axis::linear(10.0, |value| value.to_string()),
            x: Axis::seconds(4.0),
            lines: vec![
                Line { name: "one".to_owned(), points: vec![(0.0, 0.0), (2.0, 5.0), (4.0, 10.0)] },
                Line { name: "two".to_owned(), points: vec![(1.0, 5.0)] },
            ],
            marks: vec![(2.0, "here".to_owned())],
        };
        let html = chart.html();
        for expected in [
            "<h3>a &lt; b</h3>",
            "aria-label=\"&quot;c&quot;\"",
            "points=\"0.0,200.0 500.0,100.0 1000.0,0.0\"",
            "points=\"250.0,100.0 1000,100.0\"",
            "<span style=\"left:50.00%\">here</span>",
        ] {
            assert!(html.contains(expected), "{expected} in {html}");
        }
    }
}
