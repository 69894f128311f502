"""From a paper to its review: prompt, generation, parsing, verdict, evidence."""
