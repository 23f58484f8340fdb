"""Elements of a document, and its renderers to HTML, Markdown and LaTeX. Independent of ultrasound."""
