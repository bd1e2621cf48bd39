"""Text to tree: feeds tokens to the LALR parser and recovers from syntax errors, so that one run reports all of them.

Recovery: a missing `;` at the end of a line is put in; any other error drops the statement in which it stands and goes on behind the next
`;` or `}` of the same nesting. The stack of the parser is cut to its height at the begin of the statement, which is remembered when the
first word of a statement has been shifted.
"""

import glob
import os
from functools import cache
from typing import Any, Final

from lark import Lark, Token, Tree, UnexpectedToken

from smx.config.problems import Place, Problem, Source
from smx.config.tree import Atom, ListNode, Node, OptionNode, SectionNode, TableNode

NESTING_MAX: Final = 16
FILES_MAX: Final = 200
FILE_OCTETS_MAX: Final = 4 * 1024 * 1024

_WORDS: Final = {"_OPEN": "{", "_CLOSE": "}", "_END": ";", "_EQUALS": "=", "_COMMA": ","}
_ESCAPES: Final = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


@cache
def _grammar() -> Lark:
    return Lark.open("grammar.lark", rel_to=__file__, parser="lalr", lexer="basic", propagate_positions=True, maybe_placeholders=False)


def source_of(path: str, text: str, directory: str | None = None) -> Source:
    """The Source of a text that was read from path."""
    base = os.path.abspath(os.path.dirname(path)) if directory is None else directory
    return Source(path, base, tuple(text.split("\n")))


def parse(text: str, source: Source, problems: list[Problem]) -> list[Node]:
    """The statements of one file, with those of the included files in their places; what is wrong is appended to problems."""
    return _Reader(problems).read(text, source)


class _Reader:
    """Follows includes."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        self.open: list[str] = []  # real paths of the files being read, outermost first
        self.files = 0

    def read(self, text: str, source: Source) -> list[Node]:
        self.files += 1
        self.open.append(os.path.realpath(os.path.join(source.directory, os.path.basename(source.path))))
        nodes = self._statements(_Feeder(text, source, self.problems).run(), source)
        self.open.pop()
        return nodes

    def _statements(self, tree: "Tree[Token]", source: Source) -> list[Node]:
        nodes: list[Node] = []
        for statement in tree.children:
            if isinstance(statement, Token) or not statement.children:
                continue  # the first word of a section, and the empty statement
            child = statement.children[0]
            assert isinstance(child, Tree)
            match child.data:
                case "option":
                    nodes.append(self._option(child, source))
                case "section":
                    nodes.append(self._section(child, source))
                case "directive":
                    nodes.extend(self._directive(child, source))
        return nodes

    def _option(self, tree: "Tree[Token]", source: Source) -> OptionNode:
        word, value = tree.children
        assert isinstance(word, Token)
        assert isinstance(value, Tree)
        return OptionNode(word.lower(), self._value(value, source), _place(word, source))

    def _value(self, tree: "Tree[Token]", source: Source) -> Atom | ListNode | TableNode:
        child = tree.children[0]
        assert isinstance(child, Tree)
        if child.data == "atom":
            return self._atom(child, source)
        place = Place(source, child.meta.line, child.meta.column) if not child.meta.empty else Place(source, 1, 1)
        if child.data == "list":
            return ListNode(tuple(self._atom(item, source) for item in child.children if isinstance(item, Tree)), place)
        pairs = [pair.children for pair in child.children if isinstance(pair, Tree)]
        return TableNode(tuple((self._atom(key, source), self._atom(value, source)) for key, value in pairs), place)

    def _section(self, tree: "Tree[Token]", source: Source) -> SectionNode:
        word = tree.children[0]
        assert isinstance(word, Token)
        names = [child for child in tree.children if isinstance(child, Tree) and child.data == "name"]
        body = [child for child in tree.children if isinstance(child, Tree) and child.data == "statement"]
        name = self._atom(names[0], source).text.lower() if names else ""
        return SectionNode(word.lower(), name, tuple(self._statements(Tree("start", list(body)), source)), _place(word, source))

    def _atom(self, tree: Any, source: Source) -> Atom:
        token = tree.children[0]
        place = _place(token, source)
        match token.type:
            case "STRING":
                return Atom(self._unquote(token, place), place, quoted=True)
            case "BAD_STRING":
                self.problems.append(Problem(place, 'the string is not closed on its line: expected "'))
            case "BAD_COMMENT":
                self.problems.append(Problem(place, "the comment is never closed: expected */"))
            case "JUNK":
                self.problems.append(Problem(place, f"unexpected {_shown(token)}: only letters, digits and _ . : / [ ] @ * + % - may stand outside of quotes"))
        return Atom(str(token), place)

    def _unquote(self, token: Token, place: Place) -> str:
        inside = token[1:-1]
        if "\\" not in inside:
            return inside
        text, escaped = [], False
        for offset, character in enumerate(inside):
            if not escaped and character == "\\":
                escaped = True
                continue
            if escaped and character not in _ESCAPES:
                there = Place(place.source, place.line, place.column + offset, 2)
                self.problems.append(Problem(there, f'unknown escape \\{_shown(character)}: expected \\" \\\\ \\n or \\t'))
            text.append(_ESCAPES.get(character, character) if escaped else character)
            escaped = False
        return "".join(text)

    def _directive(self, tree: "Tree[Token]", source: Source) -> list[Node]:
        word, name = tree.children
        assert isinstance(word, Token)
        if word.lower() != "include":
            self.problems.append(Problem(_place(word, source), f'expected = or {{ behind "{word}"; only include takes a name and a ;'))
            return []
        atom = self._atom(name, source)
        pattern = os.path.join(source.directory, atom.text)
        wild = glob.has_magic(pattern)
        nodes: list[Node] = []
        for path in sorted(glob.glob(pattern)) if wild and atom.text.isprintable() else [pattern]:
            nodes.extend(self._include(path, os.path.join(os.path.dirname(source.path), os.path.relpath(path, source.directory)), atom.place))
        return nodes

    def _include(self, path: str, shown: str, place: Place) -> list[Node]:
        if os.path.realpath(path) in self.open:
            self.problems.append(Problem(place, f"{shown} includes itself"))
            return []
        if self.files >= FILES_MAX:
            self.problems.append(Problem(place, f"more than {FILES_MAX} files"))
            return []
        try:
            text = read_text(path)
        except OSError as error:
            self.problems.append(Problem(place, f"cannot read {shown}: {error.strerror or error}"))
            return []
        return self.read(text, source_of(shown, text, os.path.dirname(os.path.abspath(path))))


def read_text(path: str) -> str:
    """The text of a configuration file; OSError also for what is no plain file of a sensible size. Octets that are not UTF-8 become escapes."""
    if "\0" in path:
        raise OSError(0, "a path has no NUL")
    with open(path, "rb") as file:
        if not os.path.isfile(path):
            raise OSError(0, "not a plain file")
        octets = file.read(FILE_OCTETS_MAX + 1)
    if len(octets) > FILE_OCTETS_MAX:
        raise OSError(0, f"larger than {FILE_OCTETS_MAX} octets")
    return octets.decode("utf-8", errors="backslashreplace")


class _Feeder:
    """Feeds the tokens of one file to the parser, and recovers."""

    def __init__(self, text: str, source: Source, problems: list[Problem]) -> None:
        self.text = text
        self.source = source
        self.problems = problems
        self.parser: Any = _grammar().parse_interactive()  # an InteractiveParser, which has few types
        self.braces: list[tuple[str, Token]] = []  # open ones: section, list or table
        self.starts = True  # the next token begins a statement
        self.height = 0  # of the parser's stack before the statement
        self.skipping = -1  # braces to close before the statement that is dropped ends; -1: nothing is dropped
        self.previous: Token | None = None

    def run(self) -> "Tree[Token]":
        for token in _grammar().lex(self.text):
            if self.skipping < 0 or self._skip(token):
                self._feed(token)
            self.previous = token
        self._finish()
        tree: Tree[Token] = self.parser.feed_eof()
        return tree

    def _feed(self, token: Token) -> None:
        if token.type == "_OPEN" and len(self.braces) >= NESTING_MAX:
            self._complain(_place(token, self.source), "too many braces are open")
            self._drop(token)
            return
        try:
            self.parser.feed_token(token)
        except UnexpectedToken:
            self._recover(token)
            return
        self._follow(token)

    def _follow(self, token: Token) -> None:
        """Keep track of the nesting and of the begins of statements."""
        in_value = bool(self.braces) and self.braces[-1][0] != "section"
        match token.type:
            case "_OPEN":
                section = not in_value and (self.previous is None or self.previous.type != "_EQUALS")
                self.braces.append(("section" if section else "list", token))
                self.starts = section
            case "_CLOSE":
                self.starts = self.braces.pop()[0] == "section"
            case "_END":
                self.starts = not in_value
            case "_EQUALS" if in_value:
                self.braces[-1] = ("table", self.braces[-1][1])
            case _:
                if self.starts:
                    self.height = len(self.parser.parser_state.state_stack) - 1
                    self.starts = False

    def _recover(self, token: Token) -> None:
        accepted = self.parser.accepts()
        on_new_line = self.previous is not None and token.line is not None and token.line > (self.previous.end_line or 0)
        if not self.starts and "_END" in accepted and (on_new_line or token.type == "_CLOSE") and not self._in_table():
            self._complain_of_missing_end()
            end = Token("_END", ";")
            self.parser.feed_token(end)
            self._follow(end)
            self._feed(token)
            return
        self._complain(_place(token, self.source), self._unexpected(token, accepted))
        self._drop(token)

    def _complain_of_missing_end(self) -> None:
        """A string that is not closed has swallowed its `;`, and will be told."""
        if self.previous is not None and self.previous.type != "BAD_STRING":
            self._complain(self._behind_previous(), 'expected ";" here')

    def _in_table(self) -> bool:
        return bool(self.braces) and self.braces[-1][0] != "section"

    def _unexpected(self, token: Token, accepted: set[str]) -> str:
        if token.type == "BAD_COMMENT":
            return "the comment is never closed: expected */"
        if token.type == "BAD_STRING":
            return 'the string is not closed on its line: expected "'
        if token.type == "_CLOSE" and not self.braces:
            return "unexpected }: no section is open"
        expected = [_WORDS[name] for name in _WORDS if name in accepted]
        if "BAD_STRING" in accepted:
            expected.insert(0, "a value")
        elif "WORD" in accepted:
            expected.insert(0, "a name")
        return f"unexpected {_shown(token)}: expected {' or '.join(expected)}"

    def _drop(self, token: Token) -> None:
        """Forget the statement in which token stands, and go on behind its end."""
        depth, kind = 0, "section"
        while self.braces and self.braces[-1][0] != "section":
            kind, _ = self.braces.pop()
            depth += 1
        if not self.starts:
            state = self.parser.parser_state
            del state.state_stack[self.height :]
            del state.value_stack[self.height - 1 :]
        self.starts = True
        self.skipping = 0 if kind == "list" and token.type == "_END" else depth
        if self._skip(token):
            self._feed(token)

    def _skip(self, token: Token) -> bool:
        """Whether token, which lies behind what is dropped, has to be fed."""
        match token.type:
            case "_OPEN":
                self.skipping += 1
            case "_END" if self.skipping == 0:
                self.skipping = -1
            case "_CLOSE" if self.skipping == 0:
                self.skipping = -1
                return bool(self.braces)
            case "_CLOSE":
                self.skipping -= 1
                if self.skipping == 0:
                    self.skipping = -1
        return False

    def _finish(self) -> None:
        if not self.starts:
            accepted = self.parser.accepts()
            if "_END" in accepted and not self._in_table():
                self._complain_of_missing_end()
                self.parser.feed_token(Token("_END", ";"))
            else:
                self._complain(self._behind_previous(), self._unexpected(Token("$END", ""), accepted))
                self._drop(Token("_END", ";"))
        while self.braces:
            kind, token = self.braces.pop()
            if kind == "section":
                self._complain(_place(token, self.source), "this { is never closed: expected }")
                self.parser.feed_token(Token("_CLOSE", "}"))

    def _behind_previous(self) -> Place:
        last = self.previous
        return Place(self.source, 1, 1) if last is None else Place(self.source, last.end_line or 1, last.end_column or 1)

    def _complain(self, place: Place, message: str) -> None:
        self.problems.append(Problem(place, message))


def _place(token: Token, source: Source) -> Place:
    first_line = token.partition("\n")[0]
    return Place(source, token.line or 1, token.column or 1, max(1, len(first_line)))


def _shown(token: str) -> str:
    """A token as a message shows it."""
    if not token:
        return "end of file"
    text = token if len(token) <= 40 else token[:37] + "..."
    return text if text.isprintable() else ascii(text)[1:-1]
