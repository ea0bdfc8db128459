"""What an expression of PromQL names, as far as rules and dashboards here need it."""

import re

SELECTOR = re.compile(r"\b([a-zA-Z_:][\w:]*)(\{[^}]*\})?(?=[\s\[)]|$)")
WORDS = {"by", "without", "on", "group_left", "and", "or", "offset", "bool", "sum", "count", "min", "max"}
COMPARISON = re.compile(r"\s(==|!=|<=|>=|<|>)\s+(?!bool)")


def unconditional(expression):
    """The same with 0 and 1 for what an alert does not meet and meets."""
    return COMPARISON.sub(r" \1 bool ", expression)


def selectors(expression):
    """Every selector, one for each of the values that a matcher names: `a{b=~"c|d"}` are two."""
    found = set()
    for name, matchers in SELECTOR.findall(re.sub(r"\b(by|without|on)\s*\([^)]*\)", " ", expression)):
        if name not in WORDS:
            found |= expanded(name + matchers)
    return found


def expanded(selector):
    match = re.search(r'=~"([^"*+.]+\|[^"*+]+)"', selector)
    if not match:
        return {selector}
    parts = (selector.replace(match.group(0), f'="{value}"') for value in match.group(1).split("|"))
    return {one for part in parts for one in expanded(part)}


def aggregations(expression):
    """Each expression whose series are brought together, with the labels that are named for that."""
    for match in re.finditer(r"\b(?:by|without)\s*\(([^)]*)\)\s*\(", expression):
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(expression[end], 0)
            end += 1
        yield expression[match.end() : end - 1], labels(match.group(1))


def matched_on(expression):
    """The labels by which two sides are brought together."""
    return {label for match in re.finditer(r"\bon\s*\(([^)]*)\)", expression) for label in labels(match.group(1))}


def shown(text):
    """The labels of a legend, or of an annotation."""
    return set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", text))


def labels(text):
    return {label.strip() for label in text.split(",")}
