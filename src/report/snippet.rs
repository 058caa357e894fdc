use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::Paper;
use crate::migration::SourceFile;
use crate::plan::Severity;
use crate::sql::Span;

/// The place in the author's own file, with a message.
pub fn snippet(
    path: &str,
    source: &str,
    span: Span,
    (severity, message): (Severity, &str),
    color: bool,
) -> String {
    let annotated = annotated(path, source, span);
    let level = match severity {
        Severity::Deny => Level::ERROR,
        Severity::Warn => Level::WARNING,
        Severity::Hint => Level::INFO.with_name("hint"),
    };
    let report = [level.primary_title(message).element(annotated)];
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&report)
}

/// The place alone, its first lines where the statement is long.
pub(super) fn hazard_snippet(file: &SourceFile, span: Span, paper: Paper) -> String {
    const MOST: usize = 3;
    let text = span.of(&file.text);
    let first: usize = text.split_inclusive('\n').take(MOST).map(str::len).sum();
    let shown = text[..first].trim_end().len();
    let span = Span { end: span.start + u32::try_from(shown).unwrap_or(u32::MAX), ..span };
    let report = [annotate_snippets::Group::with_level(Level::ERROR)
        .element(annotated(&file.path, &file.text, span))];
    let renderer = if paper.pen.color { Renderer::styled() } else { Renderer::plain() };
    renderer.term_width(paper.width.saturating_sub(4)).render(&report)
}

fn annotated<'a>(
    path: &'a str,
    source: &'a str,
    span: Span,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    let end = source.len();
    let start = (span.start as usize).min(end);
    let stop = (span.end as usize).clamp(start, end);
    Snippet::source(source).path(path).annotation(AnnotationKind::Primary.span(start..stop))
}
