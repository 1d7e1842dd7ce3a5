/**
 * Makes a copy of the sources that counts where it has been: `instrument(from, to)`.
 *
 * Every TypeScript file under src and what the fuzz targets need of test is transpiled into `to`; those under
 * src/core, src/config and src/daemon get a counter at each function, branch and loop, a byte in
 * `globalThis.fuzzHits`. A missing else is a branch too. What comes out is plain JavaScript that node runs as it
 * is; V8's own coverage would cost more than the code under test.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import ts from "typescript";

/** Folders that are copied, and those of them that count. */
const COPIED = ["src", "test/fuzz", "test/helpers", "test/sim", "test/config", "test/daemon"];
const COUNTED = ["src/core", "src/config", "src/daemon"];

/** Where the counters of each file are: from `first` on, `count` of them. */
export interface CountedFile {
  readonly file: string;
  readonly first: number;
  readonly count: number;
}

/** Transpiles the tree at `from` into `to` and writes `counters.json` beside it. */
export function instrument(from: string, to: string): readonly CountedFile[] {
  const files: CountedFile[] = [];
  let next = 0;
  for (const path of COPIED.flatMap((folder) => sourcesIn(join(from, folder)))) {
    const file = relative(from, path);
    const isCounted = COUNTED.some((folder) => file.startsWith(`${folder}/`));
    const counter = new Counter(next);
    const text = transpile(readFileSync(path, "utf8"), file, isCounted ? counter : undefined);
    write(join(to, file.replace(/\.ts$/, ".js")), text);
    if (isCounted) files.push({ file, first: next, count: counter.next - next });
    next = counter.next;
  }
  write(join(to, "package.json"), '{ "type": "module" }\n');
  write(join(to, "counters.json"), JSON.stringify(files));
  const modules = join(to, "node_modules");
  if (!existsSync(modules)) symlinkSync(join(from, "node_modules"), modules);
  return files;
}

function sourcesIn(folder: string): readonly string[] {
  return readdirSync(folder)
    .sort()
    .map((name) => join(folder, name))
    .flatMap((path) => {
      if (statSync(path).isDirectory()) return sourcesIn(path);
      return path.endsWith(".ts") && !path.endsWith(".test.ts") ? [path] : [];
    });
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** Hands out counters. */
class Counter {
  next: number;

  constructor(first: number) {
    this.next = first;
  }

  /** `hits[n]++` */
  expression(): ts.Expression {
    const { factory } = ts;
    const element = factory.createElementAccessExpression(
      factory.createIdentifier("fuzzHits"),
      this.next,
    );
    this.next += 1;
    return factory.createPostfixIncrement(element);
  }

  statement(): ts.Statement {
    return ts.factory.createExpressionStatement(this.expression());
  }
}

function transpile(text: string, file: string, counter: Counter | undefined): string {
  const { outputText } = ts.transpileModule(text, {
    fileName: file,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
    transformers: counter === undefined ? {} : { before: [transformer(counter)] },
  });
  return counter === undefined
    ? outputText
    : `const fuzzHits = globalThis.fuzzHits;\n${outputText}`;
}

function transformer(counter: Counter): ts.TransformerFactory<ts.SourceFile> {
  return (context) => {
    const visit = (node: ts.Node): ts.Node =>
      withCounters(ts.visitEachChild(node, visit, context), counter);
    return (source) => ts.visitEachChild(source, visit, context);
  };
}

/** The node with counters in it; its children have theirs already. */
function withCounters(node: ts.Node, counter: Counter): ts.Node {
  const { factory } = ts;
  const counted = (value: ts.Expression) =>
    factory.createParenthesizedExpression(factory.createComma(counter.expression(), value));
  if (ts.isBlock(node)) {
    return factory.updateBlock(node, [counter.statement(), ...node.statements]);
  }
  if (ts.isIfStatement(node)) return withBranches(node, counter);
  if (ts.isCaseOrDefaultClause(node)) return withClauseCounter(node, counter);
  if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) {
    const { modifiers, typeParameters, parameters, type, equalsGreaterThanToken, body } = node;
    const head = [modifiers, typeParameters, parameters, type, equalsGreaterThanToken] as const;
    return factory.updateArrowFunction(node, ...head, counted(body));
  }
  if (ts.isConditionalExpression(node)) {
    const { condition, questionToken, whenTrue, colonToken, whenFalse } = node;
    const head = [condition, questionToken, counted(whenTrue), colonToken] as const;
    return factory.updateConditionalExpression(node, ...head, counted(whenFalse));
  }
  if (ts.isBinaryExpression(node) && SHORT_CIRCUITS.has(node.operatorToken.kind)) {
    const { left, operatorToken, right } = node;
    return factory.updateBinaryExpression(node, left, operatorToken, counted(right));
  }
  return node;
}

const SHORT_CIRCUITS: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken,
]);

/** Both branches as blocks that count; an else that is not there counts too. */
function withBranches(node: ts.IfStatement, counter: Counter): ts.Node {
  const block = (body: ts.Statement) =>
    ts.isBlock(body) ? body : ts.factory.createBlock([counter.statement(), body]);
  const otherwise = node.elseStatement ?? ts.factory.createEmptyStatement();
  return ts.factory.updateIfStatement(
    node,
    node.expression,
    block(node.thenStatement),
    ts.isIfStatement(otherwise) ? otherwise : block(otherwise),
  );
}

function withClauseCounter(clause: ts.CaseOrDefaultClause, counter: Counter): ts.Node {
  // An empty clause falls into the next one.
  if (clause.statements.length === 0) return clause;
  const statements = [counter.statement(), ...clause.statements];
  return ts.isCaseClause(clause)
    ? ts.factory.updateCaseClause(clause, clause.expression, statements)
    : ts.factory.updateDefaultClause(clause, statements);
}
