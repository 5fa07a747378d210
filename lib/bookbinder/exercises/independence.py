"""Find where a check takes what it expects from the answer itself, and so would accept whatever the answer says.

The answer is followed through the syntax tree of the check. Its parameter is tainted, and so is everything computed
from something tainted. A tainted value may be the first argument of `expect` and stand on one side of an equality in
`require`, but it may not be what is expected. Two results of the answer may not be compared for equality; a property of
one result, `result == sorted(result)`, may be asked for. Helpers that are given something tainted are read likewise.

The order of the statements does not count, so a name should not first mean a result and later something else.
"""

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, field

ASSERTERS = ("expect", "expect_error", "require")
_EQUALITIES = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
_DIFFERENCES = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.BitXor)
_COMPARERS = {"allclose", "isclose", "array_equal", "array_equiv", "equal", "not_equal", "eq", "ne", "agree"}
_STORING = {"append", "appendleft", "extend", "insert", "add", "update", "setdefault", "put"}
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Case = tuple[str, frozenset[str]]  # a function, and which of its names are tainted from the start


def self_references(code: str, function: str, name: str) -> list[str]:
    """What is wrong with a check, in words.

    Args:
        code: The cells with the check and its helpers.
        function: The name of the check.
        name: What the reader's function is called, which the code may not mention.
    """
    tree = ast.parse(code)
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    found = [problem for node in ast.walk(tree) for problem in _out_of_place(node, name)]
    if function not in functions or len(functions[function].args.args) != 2:
        return [*found, f"there is no {function}(answer, rng)"]
    outer = {name for node in tree.body if not isinstance(node, ast.FunctionDef) for name in _stored(node)}
    begin, shared, asserts, read = functions[function].args.args[0].arg, set[str](), 0, list[str]()
    while True:  # until no helper leaves anything more in a name that all functions see
        before = len(shared)
        asserts, read = _follow((function, frozenset({begin} | shared)), functions, outer, shared)
        if len(shared) == before:
            break
    return [*found, *dict.fromkeys(read), *([] if asserts else ["expects nothing"])]


def _out_of_place(node: ast.AST, name: str) -> Iterator[str]:
    """What a check may not hold anywhere."""
    if isinstance(node, ast.Name) and node.id == name:
        yield f"names {name}, which is the reader's"
    if isinstance(node, ast.Assert):
        yield f"uses a bare assert in line {node.lineno}; expect and require tell the reader more"
    if isinstance(node, ast.Call) and _last_word(node.func).startswith("assert_"):
        yield f"uses {_last_word(node.func)} in line {node.lineno}; expect and require tell the reader more"
    if isinstance(node, ast.ImportFrom):
        yield from (
            f"calls {each.name} {each.asname}; keep its name"
            for each in node.names
            if each.name in ASSERTERS and each.asname not in (None, each.name)
        )


def _follow(
    first: Case, functions: dict[str, ast.FunctionDef], outer: set[str], shared: set[str]
) -> tuple[int, list[str]]:
    """How many assertions a check makes, and what is wrong with it and its helpers; what they leave joins `shared`."""
    waiting, done, asserts, problems = [first], set[Case](), 0, list[str]()
    while waiting:
        case = waiting.pop()
        if case in done:
            continue
        done.add(case)
        reading = _Reading(functions[case[0]], functions, _Taint(functions[case[0]], case[1]))
        reading.read()
        shared |= reading.taint.names & outer
        asserts, problems = asserts + reading.asserts, problems + reading.problems
        waiting += [(called, frozenset(names | shared)) for called, names in reading.calls]
    return asserts, problems


class _Taint:
    """The tainted names of a function."""

    def __init__(self, function: ast.FunctionDef, names: frozenset[str]):
        self.names = set(names)
        self._callees = self.names & {_called(node) for node in ast.walk(function)}
        before = 0
        while len(self.names) != before:
            before = len(self.names)
            for node in ast.walk(function):
                self._pass_on(node, function)
        several = {function.args.vararg.arg} if function.args.vararg else set()
        self.single = (names - self._callees - several) | set(self._single_results(function))

    def reach(self, node: ast.AST) -> bool:
        """Whether anything tainted goes into an expression."""
        return bool(self._in(node))

    def mixes(self, *nodes: ast.expr) -> bool:
        """Whether more than one of these is tainted, and not all by the same single result."""
        touched = [found for found in map(self._in, nodes) if found]
        return len(touched) > 1 and not (len(set().union(*touched)) == 1 and touched[0] <= self.single)

    def _in(self, node: ast.AST) -> set[str]:
        return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} & self.names

    def _single_results(self, function: ast.FunctionDef) -> Iterator[str]:
        """Names that are assigned once, from an expression with one call of the answer."""
        stored = list(_stored(function))
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                parts = list(ast.walk(node.value))
                calls = [part for part in parts if _called(part) in self._callees]
                several = any(isinstance(part, _COMPREHENSIONS) for part in parts)
                if len(calls) == 1 and not several and stored.count(node.targets[0].id) == 1:
                    yield node.targets[0].id

    def _pass_on(self, node: ast.AST, function: ast.FunctionDef) -> None:
        """Taint what this part of the function makes of something tainted."""
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._bind(target, value)
            case ast.AugAssign(target=target, value=value) | ast.NamedExpr(target=target, value=value):
                self._bind(target, value)
            case ast.AnnAssign(target=target, value=ast.AST() as value):
                self._bind(target, value)
            case ast.For(target=target, iter=source) | ast.comprehension(target=target, iter=source):
                self._iterate(target, source)
            case ast.withitem(context_expr=source, optional_vars=ast.AST() as target):
                self._bind(target, source)
            case ast.Call(func=ast.Attribute(value=holder, attr=method), args=args, keywords=keywords):
                if method in _STORING and any(map(self.reach, [*args, *keywords])):
                    self._spread(holder)  # results.append(answer(x))
            case ast.FunctionDef(name=name) if node is not function and self.reach(node):
                self.names.add(name)

    def _bind(self, target: ast.AST, value: ast.AST) -> None:
        """An assignment; `got, right = answer(x), 3` taints only the first of the two."""
        targets, values = getattr(target, "elts", []), getattr(value, "elts", [])
        if targets and len(targets) == len(values):
            for one, part in zip(targets, values, strict=True):
                self._bind(one, part)
        elif self.reach(value):
            self._spread(target)

    def _iterate(self, target: ast.AST, source: ast.AST) -> None:
        """A loop; in `for x, got in zip(xs, answer(xs))` only the second name is tainted."""
        parts = _iterated_together(source)
        if isinstance(target, ast.Tuple) and len(target.elts) == len(parts):
            for one, part in zip(target.elts, parts, strict=True):
                self._iterate(one, part)
        elif isinstance(source, ast.Tuple | ast.List):
            for part in source.elts:
                self._bind(target, part)
        elif self.reach(source):
            self._spread(target)

    def _spread(self, target: ast.AST) -> None:
        """Everything that is assigned here is tainted: names, and what holds an item or an attribute."""
        if isinstance(target, ast.Subscript | ast.Attribute | ast.Starred):
            self._spread(target.value)
        elif isinstance(target, ast.Name):
            self.names.add(target.id)
        else:
            for part in ast.iter_child_nodes(target):
                self._spread(part)


@dataclass
class _Reading:
    """One function, read for what it expects."""

    function: ast.FunctionDef
    functions: dict[str, ast.FunctionDef]
    taint: _Taint
    problems: list[str] = field(default_factory=list)
    calls: list[tuple[str, frozenset[str]]] = field(default_factory=list)  # of functions that get something tainted
    asserts: int = 0

    def read(self) -> None:
        """Look at each comparison and each call; a function inside is read when it is called."""
        waiting: list[ast.AST] = list(self.function.body)
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.FunctionDef):
                continue
            waiting += ast.iter_child_nodes(node)
            if isinstance(node, ast.Compare):
                self._read_comparison(node)
            elif isinstance(node, ast.Call):
                self._read_call(node)
            elif isinstance(node, ast.BinOp) and isinstance(node.op, _DIFFERENCES) and self._mixed(node):
                self.problems.append(f"takes two results of the answer from each other in line {node.lineno}")

    def _mixed(self, node: ast.BinOp) -> bool:
        return self.taint.mixes(node.left, node.right)

    def _read_comparison(self, node: ast.Compare) -> None:
        equal = any(isinstance(operator, _EQUALITIES) for operator in node.ops)
        if equal and self.taint.mixes(node.left, *node.comparators):
            self.problems.append(f"compares two results of the answer in line {node.lineno}")

    def _read_call(self, node: ast.Call) -> None:
        called, reach = _last_word(node.func), self.taint.reach
        given = {str(word.arg): word.value for word in node.keywords}
        compared = [value for word, value in given.items() if word not in ("look", "returned")]
        self.asserts += called in ASSERTERS
        if called == "expect":
            if len(node.args) != 1 or not reach(node.args[0]):
                self.problems.append(f"expect in line {node.lineno} does not look at what the answer returned")
            if any(map(reach, compared)):
                self.problems.append(f"expect in line {node.lineno} expects what comes from the answer")
        elif called == "expect_error":
            if len(node.args) < 2 or not reach(node.args[1]):
                self.problems.append(f"expect_error in line {node.lineno} does not call the answer")
            if any(map(reach, [*node.args[2:], *compared])):
                self.problems.append(f"expect_error in line {node.lineno} passes on what comes from the answer")
        elif called in self.functions:
            self._enter(called, node)
        elif called != "require" and self._may_compare(node) and self.taint.mixes(*node.args, *given.values()):
            self.problems.append(f"a call in line {node.lineno} combines two results of the answer")

    def _may_compare(self, node: ast.Call) -> bool:
        """Python's own functions, and methods of other names, only compute: zip(a, b), np.dot(a, b)."""
        return _last_word(node.func) in _COMPARERS or bool(_called(node) and not hasattr(builtins, _called(node)))

    def _enter(self, called: str, node: ast.Call) -> None:
        """Note which names of a helper are tainted by a call."""
        arguments = self.functions[called].args
        names = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
        rest = [each.arg for each in (arguments.vararg, arguments.kwarg) if each]
        own = {*names, *rest, *(each.arg for each in arguments.kwonlyargs)}
        touched = {names[i] for i, value in enumerate(node.args[: len(names)]) if self.taint.reach(value)}
        touched |= {str(word.arg) for word in node.keywords if word.arg in own and self.taint.reach(word.value)}
        unpacked: list[ast.expr] = [value for value in node.args if isinstance(value, ast.Starred)]
        unpacked += [word.value for word in node.keywords if word.arg is None]
        if any(map(self.taint.reach, unpacked)):
            touched |= own
        if any(map(self.taint.reach, node.args[len(names) :])):
            touched |= set(rest)
        if self.functions[called] in list(ast.walk(self.function))[1:]:  # a function inside sees what this one sees
            touched |= self.taint.names - own
        if touched:
            self.calls.append((called, frozenset(touched)))


def _iterated_together(source: ast.AST) -> list[ast.expr]:
    """What each name of `for a, b in zip(…)` or `for i, a in enumerate(…)` runs over."""
    match source:
        case ast.Call(func=ast.Name(id="zip"), args=args) if not any(isinstance(each, ast.Starred) for each in args):
            return args
        case ast.Call(func=ast.Name(id="enumerate"), args=[iterated, *_]):
            return [ast.Constant(0), iterated]
    return []


def _last_word(function: ast.expr) -> str:
    """The name behind a call: allclose in np.allclose(…)."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _called(node: ast.AST) -> str:
    """The name that is called, if this is a call of a plain name."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def _stored(node: ast.AST) -> Iterator[str]:
    """The names that are assigned somewhere in it, as often as they are."""
    return (part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store))
