// Lines over time, drawn by uPlot in the page's colours.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { colour, dark } from "./theme";

export interface Line {
  label: string;
  colour: string; // a name of the style sheet's
  values: (number | null | undefined)[];
  /** Points alone, without lines between them. */
  dots?: boolean;
  fill?: boolean;
  dash?: number[];
}

const height = 150;

/** times are seconds since 1970, in order. told says the same in words. */
export function Chart({ label, told, times, lines }: { label: string; told: string; times: number[]; lines: Line[] }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = lines.map((l) => l.label).join() + String(dark.value);
  useEffect(() => {
    const at = box.current!;
    const u = new uPlot(options(at.clientWidth, lines), [[], ...lines.map(() => [])], at);
    plot.current = u;
    const sized = new ResizeObserver(() => at.clientWidth > 0 && u.setSize({ width: at.clientWidth, height }));
    sized.observe(at);
    return () => {
      sized.disconnect();
      u.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => {
    plot.current?.setData([times, ...lines.map((l) => l.values)] as uPlot.AlignedData);
  });
  return (
    <figure class="chart">
      <div ref={box} role="img" aria-label={`${label}. ${told}`} />
      <figcaption>
        {lines.map((l) => {
          const last = l.values.findLast((v) => v !== null && v !== undefined);
          return <span key={l.label}><i class={l.dots ? "dot" : ""} style={{ background: `var(--${l.colour})` }} />{l.label} <b>{last === undefined || last === null ? "–" : last < 10 ? Number(last.toFixed(1)) : Math.round(last)}</b></span>;
        })}
      </figcaption>
    </figure>
  );
}

function options(width: number, lines: Line[]): uPlot.Options {
  const axis = { stroke: colour("muted"), font: "11px system-ui, sans-serif", grid: { stroke: colour("line"), width: 1 }, ticks: { show: false } };
  return {
    width: Math.max(width, 100),
    height,
    padding: [8, 26, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 5 } },
    legend: { show: false },
    scales: { y: { range: (_, _low, high) => [0, Math.max(1, high * 1.15)] } },
    axes: [
      { ...axis, size: 22, space: 70, values: (_, at) => at.map((t) => new Date(t * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" })) },
      { ...axis, size: 38, space: 30 },
    ],
    series: [
      {},
      ...lines.map((l) => ({
        label: l.label,
        stroke: colour(l.colour),
        width: l.dots ? 0 : 1.5,
        dash: l.dash,
        fill: l.fill ? `${colour(l.colour)}22` : undefined,
        points: l.dots ? { show: true, size: 6, fill: colour(l.colour), stroke: colour(l.colour) } : { show: false },
        spanGaps: false,
      })),
    ],
  };
}
