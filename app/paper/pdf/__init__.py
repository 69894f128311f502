"""PDF pages -> lines -> a paper: reading order, headings, front matter, paragraphs."""
