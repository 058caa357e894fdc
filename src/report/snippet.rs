use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::sql::Span;

/// The place in the author's own file, with a message.
pub fn snippet(path: &str, source: &str, span: Span, message: &str, color: bool) -> String {
    let end = source.len();
    let start = (span.start as usize).min(end);
    let stop = (span.end as usize).clamp(start, end);
    let annotated =
        Snippet::source(source).path(path).annotation(AnnotationKind::Primary.span(start..stop));
    let report = [Level::ERROR.primary_title(message).element(annotated)];
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&report)
}
