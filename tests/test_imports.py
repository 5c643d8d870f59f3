"""No circles of files; the order of the folders is a contract in pyproject.toml."""

import grimp
import networkx


def test_no_files_import_each_other_in_a_circle() -> None:
    # import-linter's own check of circles sees none that go through a package's __init__.
    graph = grimp.build_graph("nas", exclude_type_checking_imports=False, cache_dir=None)
    imports = networkx.DiGraph(
        (importer, imported)
        for importer in graph.modules - {"nas"}  # which names the public parts, lazily
        for imported in graph.find_modules_directly_imported_by(importer)
    )
    circles = [found for found in networkx.strongly_connected_components(imports) if len(found) > 1]
    assert circles == []
