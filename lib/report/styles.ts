// The style sheet of a report: light and dark, and one column on a phone.

export const styles = `
:root{color-scheme:light dark;--surface:light-dark(#fff,#15181d);--page:light-dark(#f5f6f8,#0d0f13);--ink:light-dark(#171a20,#eef0f4);--ink-2:light-dark(#4d5563,#aeb6c4);--line:light-dark(#b8bfca,#4a5160);--grid:light-dark(#e8ebf0,#262b34);--heat:light-dark(#8fb4ea,#3563a8);--warn:light-dark(#a63a00,#ff9d66);
--c0:light-dark(#1f5fbf,#6ea8ff);--c1:light-dark(#b4470c,#ff9a5c);--c2:light-dark(#17795e,#4fcfa7);--c3:light-dark(#8a3ea8,#d693f0);--c4:light-dark(#8a6a00,#e0bf4a);--c5:light-dark(#b02a56,#ff8bb0)}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;line-height:1.25;margin:0}h2{font-size:19px;margin:34px 0 10px}h3{font-size:15px;margin:0}
p{margin:2px 0;color:var(--ink-2);font-size:13px}
.facts{display:flex;flex-wrap:wrap;gap:6px 28px;margin:12px 0 0;padding:0;list-style:none;color:var(--ink-2);font-size:13px}
.facts b{color:var(--ink);font-weight:600;font-variant-numeric:tabular-nums}
.grid{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:14px}
.grid>.wide{grid-column:1/-1}
figure,.card{margin:0;min-width:0;background:var(--surface);border:1px solid var(--grid);border-radius:10px;padding:14px 16px}
figure svg{display:block;width:100%;height:auto;margin-top:6px}
table{border-collapse:collapse;width:100%;font-size:13px}
th,td{padding:6px 10px 6px 0;text-align:left;border-bottom:1px solid var(--grid);font-weight:400;overflow-wrap:normal}
tbody tr:last-child>*{border-bottom:0}
thead th{color:var(--ink-2)}tbody th{font-weight:600;min-width:6em;max-width:28em;overflow-wrap:anywhere}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.scroll{overflow-x:auto}
.heats table{width:auto;margin-top:6px}.heats th.n{text-align:center;padding:6px}
.h{text-align:center;min-width:56px;padding:6px;font-variant-numeric:tabular-nums;border:1px solid var(--surface);background:color-mix(in srgb,var(--heat) calc(var(--v,0)*100%),var(--surface))}
.bar{display:inline-block;width:64px;height:8px;margin-right:8px;border-radius:4px;background:linear-gradient(to right,var(--c0) calc(var(--v)*100%),var(--grid) 0)}
.note{border-left:4px solid var(--warn)}.note ul{margin:4px 0;padding-left:20px;font-size:14px}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;margin:8px 0 0;padding:0;list-style:none;font-size:12px;color:var(--ink-2)}
.key{display:inline-block;width:18px;margin-right:6px;vertical-align:middle;border-top:3px solid var(--c)}
.key.dashed{border-top-style:dashed}.key.dotted{border-top:2px dotted var(--ink-2)}
details{margin-top:6px;font-size:13px}summary{cursor:pointer;color:var(--ink-2)}
pre{overflow:auto;font-size:12px;margin:6px 0 0}
@media(max-width:760px){.grid{grid-template-columns:minmax(0,1fr)}main{padding:20px 12px 40px}figure.wide svg{width:640px}h1{font-size:22px}}
@media print{:root{color-scheme:light}figure,.card{break-inside:avoid}}
`
