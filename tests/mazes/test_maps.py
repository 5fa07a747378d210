"""The named maps: what is said of each of them is counted here."""

import re
import zipfile
from pathlib import Path

import mazes.maps
import numpy as np
import pytest
from mazes.grid import Maze, distances
from mazes.maps import load, names

SHORTEST = {"classic": 8, "cliff": 13, "four-rooms": 20, "open": 10, "spiral": 48, "two-paths": 8}


def simple_paths(maze, cell=None, path=()):
    """Every way from the start to the goal that visits no cell twice."""
    cell = cell or maze.start
    if cell == maze.goal:
        return [(*path, cell)]
    row, col = cell
    found = []
    for r, c in ((row - 1, col), (row, col + 1), (row + 1, col), (row, col - 1)):
        inside = 0 <= r < maze.rows and 0 <= c < maze.cols
        if inside and not maze.walls[r, c] and (r, c) not in path:
            found += simple_paths(maze, (r, c), (*path, cell))
    return found


def with_walls(maze, *cells):
    walls = maze.walls.copy()
    for cell in cells:
        walls[cell] = True
    return Maze(walls=walls, cliffs=maze.cliffs, start=maze.start, goal=maze.goal)


def test_names_are_those_of_the_files():
    assert names() == sorted(SHORTEST)
    assert names() == sorted(path.stem for path in Path(mazes.maps.__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("name", SHORTEST)
def test_shortest_ways(name):
    maze = load(name)
    assert distances(maze)[maze.index(*maze.start)] == SHORTEST[name]


@pytest.mark.parametrize("name", SHORTEST)
def test_files_have_no_space_that_an_editor_could_strip(name):
    text = Path(mazes.maps.__file__).with_name(f"{name}.txt").read_text(encoding="utf-8")
    assert re.fullmatch(r"([#SGC.]+\n)+", text)


def test_classic():
    maze = load("classic")
    assert maze.walls.shape == (5, 5)
    assert {tuple(map(int, cell)) for cell in np.argwhere(maze.walls)} == {
        (0, 3),
        (1, 1),
        (1, 3),
        (2, 1),
        (3, 3),
        (4, 1),
    }
    assert (maze.start, maze.goal) == ((0, 0), (0, 4))


def test_two_paths_are_two_of_one_length_and_share_only_their_ends():
    first, second = simple_paths(load("two-paths"))
    assert len(first) == len(second) == 9
    assert set(first) & set(second) == {first[0], first[-1]}


def test_spiral_has_one_way():
    (way,) = simple_paths(load("spiral"))
    assert len(way) == 49
    assert (~load("spiral").walls).sum() == 49  # and every cell is on it


def test_cliff_is_the_map_of_the_book():
    maze = load("cliff")
    assert (maze.rows, maze.cols, maze.start, maze.goal) == (4, 12, (3, 0), (3, 11))
    assert np.argwhere(maze.cliffs).tolist() == [[3, col] for col in range(1, 11)]
    assert not maze.walls.any()


def test_four_rooms_are_joined_by_four_doors():
    maze = load("four-rooms")
    assert maze.walls.shape == (13, 13)
    assert maze.walls[[0, -1]].all()
    assert maze.walls[:, [0, -1]].all()
    doors = {(3, 6), (6, 2), (7, 9), (10, 6)}
    rooms = 5 * 5 + 6 * 5 + 5 * 5 + 4 * 5
    assert (~maze.walls).sum() == rooms + len(doors)
    for closed in doors:  # any three doors join all rooms
        assert distances(with_walls(maze, closed)).tolist().count(-1) == (maze.walls.sum() + 1)
    with pytest.raises(ValueError, match="no way"):
        with_walls(maze, (3, 6), (6, 2))  # both doors of the room of S


def test_open_has_no_wall():
    assert not load("open").walls.any()
    assert load("open").walls.shape == (6, 6)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"name must be one of classic, cliff, .*, got 'clasic'"):
        load("clasic")


def test_a_packed_installation_finds_the_maps(tmp_path, monkeypatch):
    packed = tmp_path / "packed.zip"
    source = Path(mazes.maps.__file__).parent
    with zipfile.ZipFile(packed, "w") as archive:
        for path in source.iterdir():
            if path.suffix in {".py", ".txt"}:
                archive.write(path, f"packed_maps/{path.name}")
    monkeypatch.syspath_prepend(str(packed))
    import packed_maps

    assert packed_maps.names() == names()
    assert packed_maps.load("classic") == load("classic")
