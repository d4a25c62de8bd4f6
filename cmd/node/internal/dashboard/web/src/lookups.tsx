// Lookups: what is tried here, what goes on, and one of them drawn.
import { signal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { drawn, LookupList, tried } from "./list";
import { Panel } from "./parts";
import { load } from "./share";
import { loaded, lookups } from "./state";
import { Tracer } from "./tracer";
import { Try } from "./try";
import type { Lookup } from "./types";

const upkeep = signal(false);
const complaint = signal("");

function all(): Lookup[] {
  return [...lookups.value.filter((l) => upkeep.value || !l.upkeep), ...loaded.value].reverse();
}

function choice(): Lookup | undefined {
  const last = tried.value;
  if (last !== null) return lookups.value.find((l) => l.id > last && !l.upkeep);
  return [...lookups.value, ...loaded.value].find((l) => l.id === drawn.value?.id && l.file === drawn.value.file);
}

export function Lookups() {
  const rows = all();
  const chosen = choice() ?? rows[0];
  return (
    <>
      <Panel title="Try it"><Try /></Panel>
      <div class="with-list">
        <Panel title="Lookups" aside={<label class="check"><input type="checkbox" checked={upkeep.value} onChange={(e) => (upkeep.value = e.currentTarget.checked)} /> refreshes too</label>}>
          <LookupList rows={rows} chosen={chosen} empty="None since this page was opened: lookups are followed only while somebody looks." />
          <Loader />
        </Panel>
        {chosen ? <Tracer lookup={chosen} key={`${chosen.id} ${chosen.file ?? ""}`} /> : <Panel title="Lookup"><p class="empty">Nothing to draw yet. Try something above.</p></Panel>}
      </div>
    </>
  );
}

function Loader() {
  const input = useRef<HTMLInputElement>(null);
  const take = async (file?: File) => {
    if (!file) return;
    try {
      const l = await load(file);
      tried.value = null;
      drawn.value = { id: l.id, file: l.file };
      complaint.value = "";
    } catch (err) {
      complaint.value = (err as Error).message;
    }
  };
  return (
    <div class="loader">
      <input ref={input} type="file" accept="application/json,.json" class="aloud" tabIndex={-1} aria-label="A lookup's file"
        onChange={(e) => { void take(e.currentTarget.files?.[0]); e.currentTarget.value = ""; }} />
      <button type="button" onClick={() => input.current?.click()}>Load a file</button>
      {complaint.value && <p class="complaint" role="alert">{complaint.value}</p>}
    </div>
  );
}
