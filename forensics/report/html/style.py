"""The style: colours that the colour-blind tell apart (blue to orange).

Contrast keeps WCAG AA in light, dark and on paper.

Shades are mixed from one hue and the ground, so that one definition is right in the light and in the dark.
"""

LIGHT = """--ink:#1b1e23;--soft:#545a64;--line:#dde1e6;--ground:#fff;--card:#f7f8fa;--bad:#a3260f;--good:#0b5d3b;--doubt:#6b4e00;
--accent:#0b5394;--code:#eceff3;--prompt:#6f7785;--answer:#0072b2;--end:#009e73;--pad:#d55e00;--loss:#0072b2;--update:#b0500f;--other:#7b4fa3;
--none:#e6e9ed;--h1:#cfe0f1;--h2:#94bfe2;--h3:#4d8fc7;--h4:#f3b27c;--h5:#dc6b1f"""
DARK = """--ink:#e7e9ec;--soft:#a8afb9;--line:#363b43;--ground:#14161a;--card:#1c1f24;--bad:#ff9a85;--good:#7fd9ab;--doubt:#f0c75e;
--accent:#8ec2ff;--code:#272b32;--prompt:#8b93a1;--answer:#2f9be0;--end:#1cc296;--pad:#ff8a33;--loss:#5cb3f0;--update:#f0975a;--other:#c09be8;
--none:#2a2e35;--h1:#2a4a68;--h2:#3f76a8;--h3:#6fb0e6;--h4:#f3b27c;--h5:#ec7a2c"""

PARTS = """
*,*::before,*::after{box-sizing:border-box}
h1,h2,h3,p,dl,dd,ul,ol,figure,table{margin:0}
h1{font-size:1.9rem;line-height:1.2;letter-spacing:-.015em;overflow-wrap:anywhere}
h2{font-size:1.25rem;line-height:1.3;letter-spacing:-.01em;margin:3rem 0 .9rem;padding-top:1.1rem;border-top:1px solid var(--line)}
.inner{margin:1.8rem 0 .6rem;padding-top:.8rem;border-top:1px solid var(--line)}
h3{font-size:1.02rem;line-height:1.4;overflow-wrap:anywhere}
p+p{margin-top:.5rem}
li{overflow-wrap:anywhere}
code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.86em}
code{background:var(--code);padding:.1em .35em;border-radius:4px;overflow-wrap:anywhere;-webkit-box-decoration-break:clone;box-decoration-break:clone}
code.copy{-webkit-user-select:all;user-select:all}
a{color:var(--accent);text-underline-offset:.15em}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.soft{color:var(--soft)}.small{font-size:.86rem}.lead{margin-bottom:.9rem;max-width:46rem}
.vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.filter{border:0;padding:0;min-width:0;overflow-wrap:anywhere;margin:0 0 .6rem;display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.9rem}
.filter label{display:inline-flex;gap:.35rem;align-items:center;min-height:1.6rem}
.filter:has([value=differs]:checked)+table tr.same{display:none}
.eyebrow{font-size:.78rem;letter-spacing:.06em;text-transform:uppercase;color:var(--soft);margin-bottom:.3rem}
.verdict{margin:1.1rem 0;padding:1rem 1.2rem;border-radius:10px;border:1px solid currentColor;border-left-width:6px;background:var(--card)}
.verdict .word{display:block;font-size:.8rem;font-weight:700;letter-spacing:.06em;text-transform:uppercase;margin-bottom:.15rem}
.verdict .said{color:var(--ink);font-size:1.25rem;line-height:1.35;font-weight:650;letter-spacing:-.01em;overflow-wrap:anywhere}
.verdict .also{color:var(--ink);margin-top:.25rem;overflow-wrap:anywhere}
.verdict .count{color:var(--soft);font-size:.9rem;margin-top:.35rem}
.verdict ul{color:var(--ink);margin-top:.5rem;padding-left:1.1rem}
.faulty{color:var(--bad)}.healthy{color:var(--good)}.inconclusive,.suspect{color:var(--doubt)}
.facts{display:flex;flex-wrap:wrap;gap:.5rem 2rem;font-size:.9rem}
.facts dt{color:var(--soft);font-size:.78rem}.facts dd{overflow-wrap:anywhere}
nav{margin-top:1.1rem;font-size:.9rem}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;list-style:none;padding:0}
.tag{display:inline-block;font-size:.76rem;line-height:1.5;border:1px solid var(--line);border-radius:999px;padding:0 .6em;color:var(--soft);font-weight:400;vertical-align:.08em;background:var(--ground)}
.card{background:var(--card);border:1px solid var(--line);border-left:6px solid var(--accent);border-radius:10px;padding:1.1rem 1.3rem 1.2rem;margin-top:1rem}
.card.error{border-left-color:var(--bad)}.card.warning{border-left-color:var(--doubt)}
.card h3{font-size:1.12rem;letter-spacing:-.005em}.rank{display:inline-block;min-width:1.55em;padding:0 .3em;margin-right:.25em;border:1px solid currentColor;border-radius:999px;font-size:.8em;text-align:center;color:var(--soft);vertical-align:.08em}
.means+.means{margin-top:1.1rem}.means:target h3{text-decoration:underline}.means p+p{margin-top:.2rem}.means p{max-width:52rem}a.id{text-decoration-thickness:1px}.node a.id{white-space:nowrap}
.card .meta{margin-top:.3rem;display:flex;flex-wrap:wrap;gap:.3rem .45rem;align-items:center}
.rows{display:grid;grid-template-columns:4.6rem minmax(0,1fr);gap:.65rem .9rem;margin-top:.95rem}
.rows>dt{color:var(--soft);font-size:.86rem;padding-top:.08rem}.rows>dd{min-width:0;overflow-wrap:anywhere;max-width:52rem}
.saw{border-left:2px solid var(--line);padding-left:.8rem;list-style:none}.saw li+li{margin-top:.5rem}
.saw .must{color:var(--soft)}
ul.plain{list-style:none;padding:0}ul.plain li+li{margin-top:.15rem}
.fix{background:color-mix(in srgb,var(--good) 9%,var(--ground));border-radius:7px;padding:.55rem .8rem}
.fix .place{font-weight:700;background:none;padding:0;display:block;margin-bottom:.1rem}
.chain,.chain ul{list-style:none;padding:0;margin:0;min-width:0}
.chain{font-size:.9rem}.chain li{display:flex;align-items:stretch;min-width:0}
.chain .node{align-self:center;flex:0 1 15rem;min-width:6rem;border:1px solid var(--line);border-radius:8px;background:var(--ground);padding:.4rem .7rem;overflow-wrap:anywhere}
.chain .node b{display:block;font-size:.76rem;font-weight:600;color:var(--soft)}
.chain .node.error{border-color:var(--bad)}.chain .node.warning{border-color:var(--doubt)}
.chain ul{flex:1 1 0;display:flex;flex-direction:column;justify-content:center;gap:.5rem}
.chain ul>li{position:relative;padding-left:2.4rem}
.chain ul>li::before{content:"";position:absolute;left:0;width:1.9rem;top:calc(50% - 1px);border-top:2px solid var(--soft)}
.chain ul>li::after{content:"";position:absolute;left:1.75rem;top:calc(50% - 5px);border:5px solid transparent;border-left:8px solid var(--soft);border-right-width:0}
.chain ul>li>.node::before{content:"";position:absolute;left:1rem;border-left:2px solid var(--soft);top:-.25rem;bottom:-.25rem}
.chain ul>li:only-child>.node::before{display:none}.chain ul>li:first-child>.node::before{top:50%}.chain ul>li:last-child>.node::before{bottom:calc(50% - 2px)}
.scroll{position:relative;overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.9rem;line-height:1.45}
th,td{text-align:left;padding:.35rem 1rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
thead th{font-size:.8rem;color:var(--soft);font-weight:600;white-space:nowrap}
tbody th{font-weight:400}.group th{font-weight:650;padding-top:.9rem}
td.num,th.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.lines td,.lines th{white-space:nowrap}.wide{width:100%}.wide td,.wide tbody th{overflow-wrap:anywhere;min-width:5rem}.wide tbody th{min-width:9rem}
.differs{color:var(--bad);font-weight:650}.agrees{color:var(--good)}
.heat{border-collapse:separate;border-spacing:2px;margin:.8rem 0;line-height:1}
.heat th,.heat td{border:0;padding:0}
.heat tbody th{font-size:.8rem;padding-right:.7rem;white-space:nowrap;vertical-align:middle;position:sticky;left:0;background:var(--ground);z-index:1;max-width:17rem;overflow:hidden;text-overflow:ellipsis}
.heat thead th{font-weight:400;text-align:center;font-variant-numeric:tabular-nums;padding-bottom:.15rem}
.heat td{height:1.65rem;text-align:center;vertical-align:middle;border-radius:3px;font-size:.74rem;font-variant-numeric:tabular-nums;white-space:nowrap}
.few td{min-width:4.6rem}.some td{min-width:1.15rem}.many td{min-width:.7rem;font-size:.55rem}.dense td{min-width:2px}.heat.dense{table-layout:fixed;width:100%}.dense th:first-child{width:11.5rem}.some,.many,.dense{border-spacing:1px}.many td,.dense td{border-radius:2px}
.h0{background:var(--none);color:var(--ink)}.h1{background:var(--h1);color:var(--ink)}.h2{background:var(--h2);color:#101418}.h3{background:var(--h3);color:#0b0e12}
.h4{background:var(--h4);color:#101418}.h5{background:var(--h5);color:#101010}.hx{background:#b2182b;color:#fff}
.hu,.hn{color:var(--ink);box-shadow:inset 0 0 0 1px var(--soft)}.hg{background:none}
.a1{background:color-mix(in srgb,var(--end) 10%,var(--ground))}.a2{background:color-mix(in srgb,var(--end) 18%,var(--ground))}.a3{background:color-mix(in srgb,var(--end) 27%,var(--ground))}.a4{background:color-mix(in srgb,var(--end) 36%,var(--ground))}.a5{background:color-mix(in srgb,var(--end) 46%,var(--ground))}
@media(prefers-color-scheme:dark){.h2{color:#fff}}
.tr{border-bottom:3px solid var(--ink)!important}
.legend{display:flex;flex-wrap:wrap;gap:.3rem .9rem;align-items:center;font-size:.82rem;color:var(--soft);margin:.5rem 0}
.legend .tok,.legend>span:has(>.key){white-space:nowrap}.legend .key{display:inline-block;min-width:1.5em;height:1.3em;line-height:1.3em;padding:0 .3em;text-align:center;border-radius:3px;vertical-align:middle;margin-right:.35em;font-size:.9em}
.legend .tok:not(.w0){color:var(--ink)}.legend .tok{margin-left:.35em}.legend+.legend{margin-top:-.2rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1.6rem 2rem}
figcaption{font-size:.9rem;margin-bottom:.3rem}
svg{width:100%;height:auto;display:block;overflow:visible}
svg text{fill:var(--soft);font:11px system-ui,-apple-system,"Segoe UI",sans-serif;font-variant-numeric:tabular-nums}
.grid{stroke:var(--line)}.axis{stroke:var(--soft)}.point{stroke:var(--soft);stroke-dasharray:2 3}
.line{fill:none;stroke-width:2;stroke-linejoin:round}.dashed{stroke-dasharray:6 4}.nan{fill:var(--bad)!important;font-weight:700}
figure{display:flex;flex-direction:column}figure svg{margin-top:auto}.course:has(.curve){display:block}
.curve{margin-right:.8rem;white-space:nowrap}.curve::before{content:"";display:inline-block;width:1.1em;border-top:3px solid var(--c);margin-right:.35em;vertical-align:middle}
.bar+.small{margin-top:.9rem}.bar{display:flex;height:1.9rem;border-radius:6px;overflow:hidden;margin:.3rem 0;gap:2px}
.bar span{min-width:3px;background:color-mix(in srgb,var(--c) 45%,var(--ground));border-bottom:4px solid var(--c);padding:.28rem .5rem;font-size:.8rem;white-space:nowrap;overflow:hidden;line-height:1.2}
.tokens{white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.8;border:1px solid var(--line);border-radius:8px;padding:.6rem .8rem;margin-top:.4rem;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.84rem;background:var(--ground)}
.r-prompt{--c:var(--prompt)}.r-answer{--c:var(--answer)}.r-end{--c:var(--end)}.r-pad{--c:var(--pad)}
.tok{border-bottom:2px solid var(--c,transparent);padding:.12em 0;-webkit-box-decoration-break:clone;box-decoration-break:clone}
.r-end.tok{border-bottom-style:double;border-bottom-width:3px}.r-pad.tok{border-bottom-style:dashed}.r-prompt.tok{border-bottom-style:dotted}
.w0{color:var(--soft)}.w1{background:color-mix(in srgb,var(--c) 14%,var(--ground))}.w2{background:color-mix(in srgb,var(--c) 27%,var(--ground))}.w3{background:color-mix(in srgb,var(--c) 45%,var(--ground))}
.step{margin-top:1.1rem}
.role{font:600 .68rem/1 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--soft);margin:0 .35em 0 .1em;white-space:nowrap}
.tok+.step{margin-top:1.1rem}
.role{margin-left:.6em}
.p1{background:color-mix(in srgb,var(--pad) 12%,var(--ground))}.p2{background:color-mix(in srgb,var(--pad) 26%,var(--ground))}.p3{background:color-mix(in srgb,var(--pad) 44%,var(--ground))}
.special{border:1px solid var(--soft);border-radius:4px;padding:0 .15em;font-size:.92em;color:var(--soft)}
.special[class*=" p"]{color:var(--ink)}
.part{outline:2px solid var(--bad);outline-offset:1px;border-radius:2px}
.exchange{margin-top:1.7rem}
.prompt{white-space:pre-wrap;line-height:1.8;overflow-wrap:anywhere;border-left:3px solid var(--line);padding-left:.8rem;margin:.4rem 0;font-size:.92rem}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:1rem 1.4rem}
.pair>*{min-width:0}.bar+.pair{margin-top:1.4rem}
details{margin-top:.9rem}
summary{cursor:pointer;color:var(--accent);width:fit-content}
summary::marker{color:var(--soft)}
.groups{display:grid;gap:.9rem;margin-top:.7rem}
.groups>li{border-left:2px solid var(--line);padding-left:.8rem}.groups{list-style:none;padding:0}
.ids code{white-space:nowrap}.ids{display:block;margin-top:.25rem;line-height:1.9}
@media(max-width:40rem){
h1{font-size:1.45rem}h2{margin-top:2.2rem}svg text{font-size:13.5px}.verdict{padding:.8rem .9rem}.verdict .said{font-size:1.1rem}
.card{padding:.9rem .9rem 1rem}.rows{grid-template-columns:minmax(0,1fr);gap:.15rem}.rows>dd{margin-bottom:.65rem}
.chain li{flex-direction:column}.chain .node{align-self:stretch;flex:none}.chain ul{margin-top:1.2rem;gap:1.2rem}.chain ul>li{padding-left:0}
.chain ul>li::before{left:1rem;width:0;top:-1.1rem;height:1rem;border-top:0;border-left:2px solid var(--soft)}
.chain ul>li::after{left:calc(1rem - 4px);top:-.5rem;border:5px solid transparent;border-top:8px solid var(--soft);border-bottom-width:0}
.chain ul>li>.node::before{display:none}.heat tbody th{max-width:9rem}.dense th:first-child{width:7.6rem}.heat.dense{border-spacing:0 1px}.dense td{border-radius:0}
.stack thead{display:none}.stack,.stack tbody,.stack tr,.stack th,.stack td{display:block;border:0;padding:0}.stack tr{border-bottom:1px solid var(--line);padding:.5rem 0}
.stack tbody th{font-weight:600}.stack td::before{content:attr(data-head) ": ";color:var(--soft)}}
@page{margin:9mm 10mm}@media print{.groups{display:block;columns:3}.groups>li{break-inside:avoid;margin-bottom:.4rem}.checks thead{display:none}.checks tbody{display:block;columns:3}.checks tr{display:block}.checks th,.checks td{display:inline;border:0;padding:0 .4em 0 0}.charts{grid-template-columns:1fr 1fr}details.drawn,section:has(>.means,>.each){display:none}th,td{padding-top:.1rem;padding-bottom:.1rem}table{font-size:8pt;line-height:1.3}.exchange{margin-top:1rem}.card,.exchange,figure,tr,.verdict{break-inside:avoid}h2,h3{break-after:avoid}h2{margin-top:1.6rem}nav,.filter{display:none}
.scroll{overflow:visible}.heat td,.key,.tok,.bar span,.fix{print-color-adjust:exact;-webkit-print-color-adjust:exact}details::details-content{content-visibility:visible;block-size:auto}}
""" + "\n".join(
    f".filter:has([value=g{n}]:checked)+table tbody:not(.g{n}){{display:none}}" for n in range(1, 13)
)
"""The last rules filter without a script: the group that is chosen hides the others."""

_PAGE = """
html{scroll-padding-top:1rem;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:66rem;margin:0 auto;padding:2.2rem 1.5rem 3rem}
footer{margin-top:3rem;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.86rem}
@media(max-width:40rem){main{padding:1.2rem .9rem 2rem}}
@media print{body{font-size:8.2pt;line-height:1.35}h1{font-size:16pt}h2{font-size:12pt}main{max-width:none;padding:0}}
"""

CSS = (
    f":root{{color-scheme:light dark;{LIGHT}}}@media screen and"
    f" (prefers-color-scheme:dark){{:root{{{DARK}}}}}{_PAGE}"
    + PARTS.replace("@media(prefers-color-scheme:dark)", "@media screen and (prefers-color-scheme:dark)")
).replace("\n", "")

FRAGMENT = (
    ".forensics{"
    + LIGHT
    + ";background:var(--ground);color:var(--ink);padding:1rem 1.2rem;border-radius:10px;"
    'font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;text-align:left;'
    "table{color:inherit}tr{background:none!important}"
    + PARTS.replace("@media(prefers-color-scheme:dark){.h2{color:#fff}}", "")
    + "}"
).replace("\n", "")
"""The same, for a part of a page that is not ours: every rule holds inside `.forensics` alone, light in any
theme.
"""
