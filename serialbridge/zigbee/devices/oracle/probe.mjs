// What a conversion does, found out by trying it: most are a divisor or a list of
// names, and a row of a table says that as well as code.

const whole = [...Array(21).keys(), 37, 50, 64, 99, 100, 101, 127, 128, 200, 253, 254, 255];
const large = [300, 1000, 2345, 12345, 32767, 65534, 70001, 1234567, 2 ** 31 - 5, 2 ** 40 + 70001];
const negative = [-1, -5, -100, -1234];

export const limits = (type) => {
    if (type >= 0x28 && type <= 0x2f) return {bits: 8 * (type - 0x27), signed: true};
    for (const first of [0x08, 0x18, 0x20]) if (type >= first && type <= first + 7) return {bits: 8 * (type - first + 1)};
    if (type === 0x30 || type === 0x10) return {bits: 8};
    if (type === 0x31) return {bits: 16};
    return {bits: 32, signed: type === undefined || type === 0x39 || type === 0x3a};
};

export function samples(type) {
    const {bits, signed} = limits(type);
    const top = 2 ** (signed && bits < 64 ? bits - 1 : bits) - 1;
    const bitmap = type >= 0x18 && type <= 0x1f;
    const powers = bitmap ? [...Array(Math.min(bits, 31)).keys()].map((n) => 2 ** n) : [];
    return [...new Set([...whole, ...powers, ...large, ...(signed ? negative : [])])].filter((n) => n <= top && (!signed || n >= -top));
}

const same = (a, b) => a === b || (typeof a === "number" && typeof b === "number" && Math.abs(a - b) < 1e-9 * Math.max(1, Math.abs(a)));
const rounded = (n, places) => Math.floor(n * 10 ** places + 0.5) / 10 ** places;

// classify looks at pairs of a number on the wire and what it becomes and returns
// the conversion as package devices has it, or undefined if it takes code.
//
// Where only some numbers become something, within says from which to which.
export function classify(pairs) {
    const row = conversion(pairs);
    const told = pairs.filter(([, y]) => y !== undefined && y !== null && !Number.isNaN(y)).map(([x]) => x);
    if (row && told.length < pairs.length) row.within = [Math.min(...told), Math.max(...told)];
    return row;
}

function conversion(pairs) {
    const told = pairs.filter(([, y]) => y !== undefined && y !== null && !Number.isNaN(y));
    if (told.length === 0) return undefined;
    if (told.every(([, y]) => typeof y === "number") && told.length > 2) {
        if (told.length >= pairs.length * 0.6) {
            if (told.every(([x, y]) => same(x, y))) return {k: "identity"};
            for (const d of [10, 100, 1000, 10000, 100000, 1000000, 2, 5, 4, 8, 16, 50, 60, 20, 200, 254 / 100, 255 / 100, 0.1, 0.01, 0.001, 0.5, 1 / 60, 3600, 3600000, 256, 1.8]) {
                if (told.every(([x, y]) => same(x / d, y))) return {k: "scale", d};
                for (const p of [0, 1, 2, 3]) if (told.every(([x, y]) => same(rounded(x / d, p), y))) return {k: "scale", d, x: p};
            }
            for (const [w0, w1] of [[0, 1000], [0, 255], [0, 254], [0, 100], [1, 254], [10, 1000]]) {
                for (const [s0, s1] of [[0, 254], [0, 255], [0, 100], [1, 254], [0, 1]]) {
                    const f = (x) => Math.floor(s0 + ((x - w0) * (s1 - s0)) / (w1 - w0) + 0.5);
                    if (told.every(([x, y]) => same(f(x), y))) return {k: "range", r: [w0, w1, s0, s1]};
                }
            }
        }
    }
    if (!told.every(([, y]) => ["string", "boolean", "number"].includes(typeof y))) return undefined;
    if (told.length > 8 && told.every(([, y]) => typeof y === "boolean")) {
        // One of some bits is set, or none of them.
        const [[, none]] = told;
        let mask = 0;
        for (const [x, y] of told) if (x > 0 && x < 2 ** 31 && (x & (x - 1)) === 0 && y !== none) mask |= x;
        if (told[0][0] === 0 && mask && told.every(([x, y]) => x < 0 || x >= 2 ** 31 || ((x & mask) !== 0) === (y !== none))) return {k: none ? "no bit" : "bit", a: mask};
    }
    const counts = new Map();
    for (const [, y] of told) counts.set(y, (counts.get(y) ?? 0) + 1);
    const [common, n] = [...counts].sort((a, b) => b[1] - a[1])[0];
    if (counts.size > 24) return undefined;
    const all = told.length === pairs.length;
    const otherwise = all && pairs.length > 4 && n >= pairs.length / 2 ? common : undefined;
    const listed = told.filter(([x, y]) => y !== otherwise && y !== x);
    if (listed.length > 60 || (told.every(([, y]) => typeof y === "number") && listed.length > 12)) return undefined;
    if ([...counts.keys()].some((v) => typeof v === "string" && /NaN|undefined|\[object/.test(v))) return undefined;
    const row = {k: [...counts.keys()].every((v) => typeof v === "boolean") || pairs.length === 2 ? "bool" : "enum", n: Object.fromEntries(listed)};
    if (otherwise !== undefined) row.o = otherwise;
    if (otherwise === undefined && listed.length === 1 && pairs.length > 4) row.one = true;
    return row;
}
