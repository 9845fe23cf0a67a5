"""Reading a page as a browser would."""

from html.parser import HTMLParser


class Whole(HTMLParser):
    """Sees that every element is closed, in order."""

    VOID = ("meta", "rect", "line", "circle", "polygon", "polyline")

    def __init__(self):
        super().__init__()
        self.open, self.text = [], []

    def handle_starttag(self, tag, attrs):  # noqa: ARG002
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    parser = Whole()
    parser.feed(page)
    assert parser.open == []
    return " ".join(parser.text)
