"""The dashboard for Grafana: as Grafana's own types have it, each panel in a place of its own."""

import json
import tempfile
import unittest
from pathlib import Path

from files import DEPLOY, run

TEXT = (DEPLOY / "grafana/hubline.json").read_text(encoding="utf-8")
MODULES = Path(__file__).parent / "node_modules"
COMPILER = ["--noEmit", "--strict", "--skipLibCheck", "--target", "esnext", "--module", "nodenext"]
# What JSON has for an enumeration is its text. Options belong to the kind of a panel.
TYPES = """\
import type * as grafana from '@grafana/schema';
import type { Options as Stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as TimeSeries, FieldConfig } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
type Plain<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Target = { refId: string; datasource: grafana.DataSourceRef; expr: string; legendFormat: string };
type Of<Type, Options, Custom> = Omit<Plain<grafana.Panel>, 'type' | 'options' | 'targets' | 'fieldConfig'> & {
  type: Type; options: Partial<Plain<Options>>; targets: Target[];
  fieldConfig: { overrides: []; defaults: Omit<Plain<grafana.FieldConfig>, 'custom'> & Custom };
};
type Panel = Of<'stat', Stat, {}> | Of<'timeseries', TimeSeries, { custom: Partial<Plain<FieldConfig>> }> | Plain<grafana.RowPanel>;
export const dashboard: Omit<Plain<grafana.Dashboard>, 'panels'> & { panels: Panel[] } =
"""


def compiled(text):
    """The compiler's findings. The file is beside the packages, where it finds them."""
    with tempfile.TemporaryDirectory(dir=MODULES, prefix=".dashboard-") as directory:
        file = Path(directory) / "dashboard.ts"
        file.write_text(TYPES + text, encoding="utf-8")
        return run(str(MODULES / ".bin/tsc"), *COMPILER, str(file)).stdout


class Dashboard(unittest.TestCase):
    def test_it_is_as_the_types_of_grafana_have_it(self):
        self.assertEqual(compiled(TEXT), "")
        for right, wrong in (
            ('"mode": "multi"', '"mode": "many"'),
            ('"fillOpacity": 20', '"fillOpacity": "20"'),
            ('"type": "timeseries"', '"type": "graph"'),
            ('"schemaVersion"', '"schemaVersions"'),
        ):
            self.assertIn(right, TEXT)
            self.assertNotEqual(compiled(TEXT.replace(right, wrong, 1)), "", wrong)

    def test_each_panel_has_a_place_and_a_source(self):
        dashboard = json.loads(TEXT)
        panels = dashboard["panels"]
        for name in ("id", "title"):
            self.assertEqual(len({panel[name] for panel in panels}), len(panels), name)
        cells = set()
        for panel in panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            columns, rows = (range(place[start], place[start] + place[size]) for start, size in (("x", "w"), ("y", "h")))
            own = {(x, y) for x in columns for y in rows}
            self.assertFalse(cells & own, f"{panel['title']} covers another")
            cells |= own
            targets = panel.get("targets", [])
            self.assertEqual(bool(targets), panel["type"] != "row")
            self.assertEqual(len({target["refId"] for target in targets}), len(targets))
            for part in [panel, *targets] if targets else []:
                self.assertEqual(part["datasource"], {"type": "prometheus", "uid": "${datasource}"})
        names = [variable["name"] for variable in dashboard["templating"]["list"]]
        self.assertEqual(names, ["datasource", "job", "instance", "hub"])
