"""Tells whole sentences from fragments, by their verbs.

A sentence begins with a verb, as an order (`Return the rows.`) or as what the thing does (`Holds the rows.`), or it has
more finite verbs than clauses that begin with `that`, `where`, `whether` and the like: in `Where a row lies.` and in
`A row that is read.` the clause takes the only verb. No grammar is complete: what this calls a fragment can be said
with a verb of `VERBS` in front, and a verb that is missing there may be added."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise


def _words_in(text: str) -> frozenset[str]:
    return frozenset(text.split())


VERBS = _words_in("""
abandon accept acknowledge act adapt add advise agree allow answer append apply arm arrange arrive ask await balance
bear become begin behave believe belong bind block break bring broadcast build cache call cancel capture carry catch
cause change charge check choose claim classify clear close collect combine come commit compare compile complete compose
compress compute configure confirm connect consist consume contain continue convert copy correct count cover create cut
deal decide declare decode decompress decrypt define delay delete deliver demand depend derive describe detect die
differ discard disconnect dispatch do draw drop edit emit empty enable encode encrypt end enforce ensure enter equal
escape establish estimate evaluate exit expect expire explain export express extract fail feed fetch fill filter find
finish fit follow forbid forget format free generate get give go grant group grow guard guess hand handle hang happen
hash have hear help hide hold identify ignore implement import index inject insert install interpret interrupt isolate
iterate join journal judge keep kill know lack last lay lead learn leave lend let lie limit list listen live load lock
log look lose make manage map mark match mean measure meet mend merge move name need note notice obey observe occur
offer omit open order outlive outweigh overtake owe own pace pack parse pass pause pay perform permit persist pick place
plant point poll post predict prefer prepare prevent price print produce protect prove provide publish pull put
quarantine query quote raise reach react read rebuild recall receive reckon recognise record recover refer refill refuse
register reject relay release rely remain remember remove render renew repeat replace replay report represent request
reserve reset resolve respond restart restore resume retry return rewrite rise roll round route run sample save say
score seal see seek select send separate serve set settle share show shut simulate skip sleep slow sort speak spend
split stage stand start starve state stay stop store stream stretch strip submit succeed suggest sum supply survive
swallow sweep switch take talk tell terminate test throw tick tidy time tolerate touch track train translate treat trust
try turn type understand undo unpack update upgrade use validate vary verify wait wake walk want warn watch weigh win
wipe work wrap write yield
""")
"""Verbs in their basic form."""

AUXILIARIES = _words_in("""
am are aren't can can't cannot could did do does doesn't don't had has have is isn't may might must shall should was
were will won't would
""")
PAST = _words_in("became began came died gave got happened occurred saw took went wrote")
"""Forms of the past that are no participles, which would need an auxiliary."""

OPENERS = _words_in("""
although because how if since that unless until what whatever when whenever where wherever whether which whichever
while who whoever whom whose why
""")
"""Words that begin a clause, which has a verb of its own."""

BEFORE_NOUNS = _words_in("""
all and any as at between by few for four from in into its many more most no of on or other out some such than the
their these those three to two with within without
""")
"""After these words, a word that may be a plural noun or a verb is a noun: `the calls of a run`."""

PRONOUNS = _words_in("everything he it nobody nothing noun she something that they this which who")
"""`noun` stands for what is in backticks."""

NOUNS_TOO = _words_in("""
batches calls changes claims counts files groups limits locks marks names orders places points prices rates records
requests results samples scores stages states times
""")
AFTER_NOUNS = _words_in("and at by for from in of on per that to which who whose with")
"""After these words, the one before is a noun: `names of files`, but `names a file`."""

PREPOSITIONS = _words_in("around as at beside between by for from in of on per through until with within without")

DEGREES = _words_in("far few long many much often soon")
"""After `as`, these words make no clause of their own: `as often as it fails`."""


_LEANING = re.compile(
    r"(?:It|They|Its|Their|Them|Those|Another one|The same(?=[,.;:]| (?:of|for|in|at)\b))(?!\w)"
    r"|[A-Z][a-z]+ (?:those of )?(?:it|them|its|their)\b"
)
"""Matches the beginning of a sentence with a pronoun for a noun that is not in it."""


def first_sentence(text: str) -> str:
    """Return what stands before the first full stop, question mark or exclamation mark that ends a sentence."""
    return re.split(r"(?<=[.?!])\s+(?=[A-Z`])", " ".join(text.strip().split("\n\n")[0].split()))[0]


def is_fragment(sentence: str) -> bool:
    """Say whether a sentence, or what stands before its colon, lacks a verb of its own."""
    words = _words(re.split(r"[:;]\s", sentence)[0])
    if not words:
        return True
    if words[0] in ("is", "never") or (_is_verb(words[0]) and not _is_noun(words)):
        return False
    befores = ["the", words[0] if words[0] in PRONOUNS else "all", *words[1:]]
    finite = [_is_finite(before, word) for before, word in zip(befores, words, strict=False)]
    clauses = sum(word in OPENERS or _compares(words, place, finite) for place, word in enumerate(words))
    return sum(finite) <= clauses


def leans_on_its_place(sentence: str) -> bool:
    """Say whether a sentence has a pronoun for what only the name beside it, or the sentence before it, names: `Print
    it on stdout.`, `Its size in bytes.`"""
    return _LEANING.match(sentence) is not None


def _compares(words: list[str], place: int, finite: list[bool]) -> bool:
    """Say whether the word is an `as` that begins a clause: `as the source has it`, not `as text` or `as often`."""
    degree = not DEGREES.isdisjoint(words[place + 1 : place + 2])
    return words[place] == "as" and not degree and any(finite[place : place + 5])


def _is_noun(words: list[str]) -> bool:
    """Say whether the first word, which may be a verb, is a noun that is told more of: `Records of a run`."""
    return words[0] in NOUNS_TOO and not AFTER_NOUNS.isdisjoint(words[1:2])


def docstrings(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield the docstrings of modules, classes and functions, each with its line."""
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text:
                yield node.body[0].lineno, text


def is_vague(sentence: str) -> bool:
    """Say whether what is said of an attribute leaves out what the attribute is: `Of one process.`, `Seconds.`

    A name for what it is, such as `Consecutive failures.`, is enough there."""
    words = _words(sentence)
    short = len(words) < 2 and not (words and _is_verb(words[0]))
    return short or (is_fragment(sentence) and (words[0] in OPENERS or words[0] in PREPOSITIONS))


def attribute_docstrings(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield the strings that stand behind an assignment, each with its line."""
    for node in nodes:
        body = getattr(node, "body", None)
        for before, statement in pairwise(body if isinstance(body, list) else []):
            match before, statement:
                case ast.Assign() | ast.AnnAssign(), ast.Expr(value=ast.Constant(value=str(text))):
                    yield statement.lineno, text


def _words(sentence: str) -> list[str]:
    """Split a sentence into its words in small letters. What stands in backticks counts as a name."""
    named = re.sub(r"`[^`]*`", " noun ", sentence)
    return [word.lower() for word in re.findall(r"[A-Za-z][A-Za-z'\-]*", re.sub(r"'s\b", "", named))]


@lru_cache(maxsize=4096)
def _is_verb(word: str) -> bool:
    return word in VERBS or word in _third_person()


@lru_cache(maxsize=1)
def _third_person() -> frozenset[str]:
    return frozenset(map(_with_s, VERBS))


def _with_s(verb: str) -> str:
    if re.search(r"(s|x|z|ch|sh|o)$", verb):
        return f"{verb}es"
    return f"{verb[:-1]}ies" if re.search(r"[^aeiou]y$", verb) else f"{verb}s"


def _is_finite(before: str, word: str) -> bool:
    if word in AUXILIARIES:
        return before not in AUXILIARIES
    if word in PAST or (before in PRONOUNS and word.endswith("ed")):
        return True
    if before in BEFORE_NOUNS:
        return False
    plural = (before.endswith("s") and before not in ("is", "has", "was", "does")) or before in ("they", "that", "who")
    return word in _third_person() or (plural and word in VERBS)
