//! The view that fills the terminal.

use std::io::{self, Stderr};

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, LineGauge, Paragraph, Sparkline};

use crate::live::terminal::Taken;
use crate::live::words;
use crate::measure::Second;
use crate::report::format::{Bytes, Count, Rate, Time, wrapped};
use crate::report::model::{LatencyOf, Snapshot, Stage};

/// The terminal, as long as the view has it.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    color: bool,
    taken: Taken,
}

impl Screen {
    pub(super) fn open(color: bool) -> io::Result<Self> {
        let taken = Taken::take()?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stderr()))?;
        Ok(Self { terminal, color, taken })
    }

    /// # Errors
    /// The terminal has gone, or was given back by a panic.
    pub(super) fn draw(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        if !self.taken.is_ours() {
            return Err(io::Error::other("the terminal was given back"));
        }
        let color = self.color;
        self.terminal.draw(|frame| draw(frame, snapshot, color))?;
        Ok(())
    }
}

/// How things look: without colors by weight alone.
#[derive(Clone, Copy)]
struct Look {
    color: bool,
}

impl Look {
    fn fore(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn soft(self) -> Style {
        self.fore(Color::DarkGray)
    }

    fn good_or_bad(self, is_good: bool) -> Style {
        self.fore(if is_good { Color::Green } else { Color::Red }).add_modifier(Modifier::BOLD)
    }
}

/// What is less important comes later, and is not there in a low terminal.
fn draw(frame: &mut Frame<'_>, snapshot: &Snapshot, color: bool) {
    let look = Look { color };
    let area = frame.area();
    let width = usize::from(area.width);
    let errors = u16::try_from(snapshot.errors.len().min(4)).unwrap_or(0);
    let warnings = u16::try_from(snapshot.warnings.len().min(2)).unwrap_or(0);
    let verdict_text = verdict_words(snapshot);
    let verdict_rows = u16::try_from(wrapped(&verdict_text, width).len()).unwrap_or(1);
    let charts = if area.height >= 19 + verdict_rows + errors + warnings * 2 { 8 } else { 0 };
    let rows = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(1 + verdict_rows),
        Constraint::Length(figure_rows(width)),
        Constraint::Length(2),
        Constraint::Length(charts),
        Constraint::Length(if errors > 0 { errors + 1 } else { 0 }),
        Constraint::Length(if warnings > 0 { warnings * 2 + 1 } else { 0 }),
        Constraint::Min(0),
        Constraint::Length(2),
    ])
    .split(area);
    head(frame, rows[0], snapshot, look);
    verdict(frame, rows[1], snapshot, &verdict_text, look);
    figures(frame, rows[2], snapshot, look);
    latency(frame, rows[3], snapshot, look);
    recent(frame, rows[4], snapshot, look);
    errors_of(frame, rows[5], snapshot, look);
    warnings_of(frame, rows[6], snapshot, look);
    foot(frame, rows[8], snapshot, look);
}

fn head(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, look: Look) {
    let title = Line::from(vec![
        Span::styled("hubline load", look.strong()),
        Span::raw("  "),
        Span::raw(words::stage(snapshot)),
    ]);
    frame.render_widget(title, Rect { height: area.height.min(1), ..area });
    let below = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let progress = progress(snapshot);
    let gauge = LineGauge::default()
        .ratio(progress)
        .label(format!("{:>3.0}%  {}", progress * 100.0, words::left(snapshot)))
        .filled_symbol(symbols::line::THICK_HORIZONTAL)
        .unfilled_symbol(symbols::line::HORIZONTAL)
        .filled_style(look.fore(Color::Blue))
        .unfilled_style(look.soft());
    frame.render_widget(gauge, below);
}

fn verdict(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, words: &str, look: Look) {
    let style = match words::has_verdict(snapshot) {
        true => look.good_or_bad(snapshot.verdict.is_good()),
        false => look.soft(),
    };
    let lines = wrapped(words, usize::from(area.width)).into_iter().map(|line| Line::styled(line, style));
    let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}

/// Names and values beside each other, as many as fit.
fn figures(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, look: Look) {
    let a_second = |rate| format!("{}/s", Rate(rate));
    let figures = [
        ("connections", format!("{} of {}", Count(snapshot.connected), Count(snapshot.wanted))),
        ("sent", a_second(snapshot.sent_rate)),
        ("received", a_second(snapshot.received_rate)),
        ("calls", a_second(snapshot.call_rate)),
        ("errors", Count(snapshot.error_count).to_string()),
    ];
    let beside = columns(usize::from(area.width));
    let lines: Vec<Line<'_>> = figures
        .chunks(beside)
        .map(|row| {
            let cells = row.iter().flat_map(|(name, value)| {
                let is_bad = *name == "errors" && snapshot.error_count > 0;
                let style = if is_bad { look.good_or_bad(false) } else { look.strong() };
                [
                    Span::styled(format!("{name:<12}"), look.soft()),
                    Span::styled(format!("{value:<20}"), style),
                ]
            });
            Line::from(cells.collect::<Vec<_>>())
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

/// Figures beside each other.
fn columns(width: usize) -> usize {
    (width / 32).clamp(1, 3)
}

fn figure_rows(width: usize) -> u16 {
    const FIGURES: usize = 5;
    u16::try_from(FIGURES.div_ceil(columns(width))).unwrap_or(5)
}

fn latency(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, look: Look) {
    let (of, times) = latency_words(snapshot);
    let mut spans = vec![Span::styled(format!("{of:<12}"), look.soft())];
    if times.is_empty() {
        spans.push(Span::styled("none timed yet", look.soft()));
    }
    let mut left = usize::from(area.width).saturating_sub(12);
    // In a narrow terminal the tail is more worth than the middle.
    let order = [3, 0, 5, 4, 1, 2];
    let mut shown: Vec<usize> = Vec::new();
    for index in order.into_iter().filter(|index| *index < times.len()) {
        let (name, time) = &times[index];
        let width = name.chars().count() + time.chars().count() + 3;
        if width <= left {
            left -= width;
            shown.push(index);
        }
    }
    shown.sort_unstable();
    for index in shown {
        let (name, time) = &times[index];
        spans.push(Span::styled(format!("{name} "), look.soft()));
        spans.push(Span::styled(format!("{time}  "), look.strong()));
    }
    let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    frame.render_widget(Line::from(spans), area);
}

fn recent(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, look: Look) {
    if area.height == 0 || snapshot.recent.is_empty() {
        return;
    }
    let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let sides: Vec<Rect> = if area.width >= 60 {
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(2), Constraint::Fill(1)])
            .split(area)
            .to_vec()
    } else {
        vec![area]
    };
    let newest = |value: fn(&Second) -> u64| snapshot.recent.last().map_or(0, value);
    let slow = format!(" p99 of each second, now {} ", Time(newest(|second| second.p99_micros)));
    chart(frame, sides[0], &snapshot.recent, |second| second.p99_micros, slow, look.fore(Color::Yellow));
    if let Some(side) = sides.get(2) {
        let received = format!(" received a second, now {} ", Count(newest(|second| second.received)));
        chart(frame, *side, &snapshot.recent, |second| second.received, received, look.fore(Color::Blue));
    }
}

fn chart(
    frame: &mut Frame<'_>,
    area: Rect,
    seconds: &[Second],
    value: fn(&Second) -> u64,
    title: String,
    style: Style,
) {
    let inside = usize::from(area.width.saturating_sub(2));
    let last = &seconds[seconds.len().saturating_sub(inside)..];
    let chart = Sparkline::default()
        .data(last.iter().map(value).collect::<Vec<_>>())
        .style(style)
        .block(Block::new().borders(Borders::ALL).border_style(Style::new()).title(title));
    frame.render_widget(chart, area);
}

fn errors_of(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, look: Look) {
    let lines = snapshot.errors.iter().take(4).map(|group| {
        Line::from(vec![
            Span::styled(format!("{:>9}  ", Count(group.count).to_string()), look.good_or_bad(false)),
            Span::raw(group.cause.clone()),
        ])
    });
    let lines: Vec<Line<'_>> = [Line::default()].into_iter().chain(lines).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn warnings_of(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, look: Look) {
    let mut lines = vec![Line::default()];
    for warning in snapshot.warnings.iter().take(2) {
        let mut start = Span::styled("warning  ", look.fore(Color::Yellow));
        for line in wrapped(warning, usize::from(area.width).saturating_sub(9)).into_iter().take(2) {
            lines.push(Line::from(vec![start, Span::raw(line)]));
            start = Span::raw(" ".repeat(9));
        }
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn foot(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, look: Look) {
    let own = &snapshot.own;
    let is_narrow = area.width < 60;
    let tester = format!(
        "tester      {:.0}% CPU, machine {:.0}%, late {}, {}",
        own.busy * 100.0,
        own.machine_busy * 100.0,
        Time(own.lag_micros),
        Bytes(snapshot.memory_bytes)
    );
    let help = if is_narrow {
        "Ctrl-C: the report so far"
    } else {
        "Ctrl-C ends the run and prints the report so far"
    };
    let lines = vec![Line::styled(tester, look.soft()), Line::styled(help, look.soft())];
    frame.render_widget(Paragraph::new(lines), area);
}

/// The verdict so far.
fn verdict_words(snapshot: &Snapshot) -> String {
    match words::has_verdict(snapshot) {
        true => format!("{} so far", snapshot.verdict),
        false => "no message was looked at yet".to_owned(),
    }
}

/// Share of the run that is over, 0 to 1.
fn progress(snapshot: &Snapshot) -> f64 {
    let elapsed = snapshot.elapsed.as_secs_f64();
    match (snapshot.stage, snapshot.left) {
        (Stage::Done, _) => 1.0,
        (_, Some(left)) => (elapsed / (elapsed + left.as_secs_f64()).max(f64::EPSILON)).clamp(0.0, 1.0),
        _ => 0.0,
    }
}

/// Whose latencies, and the times by name; nothing before the first.
fn latency_words(snapshot: &Snapshot) -> (&'static str, Vec<(&'static str, String)>) {
    let of = match snapshot.latency_of {
        LatencyOf::Delivery => "deliveries",
        LatencyOf::Call => "calls",
    };
    let times = &snapshot.latency;
    if times.count == 0 {
        return (of, Vec::new());
    }
    let times = [
        ("p50", times.p50_micros),
        ("p90", times.p90_micros),
        ("p95", times.p95_micros),
        ("p99", times.p99_micros),
        ("p99.9", times.p999_micros),
        ("max", times.max_micros),
    ];
    (of, times.map(|(name, micros)| (name, Time(micros).to_string())).to_vec())
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::live::sample;

    fn drawn(snapshot: &Snapshot, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, snapshot, false)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_usual_terminal() {
        insta::assert_snapshot!(drawn(&sample::running(), 80, 24));
    }

    #[test]
    fn a_wide_one_with_errors_and_a_warning() {
        insta::assert_snapshot!(drawn(&sample::in_trouble(), 120, 32));
    }

    #[test]
    fn a_narrow_and_low_one() {
        insta::assert_snapshot!(drawn(&sample::in_trouble(), 40, 14));
    }

    #[test]
    fn before_anything_is_known() {
        insta::assert_snapshot!(drawn(&Snapshot::default(), 80, 12));
    }

    #[test]
    fn no_size_is_too_small() {
        let (trouble, nothing) = (sample::in_trouble(), Snapshot::default());
        for width in [1, 7, 33, 61] {
            for height in [1, 2, 4, 9, 15, 21, 22, 30] {
                drawn(&trouble, width, height);
                drawn(&nothing, width, height);
            }
        }
    }
}
