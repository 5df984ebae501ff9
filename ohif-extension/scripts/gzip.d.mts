export function gzipTree(root: string): Promise<{ plain: number; gzipped: number }>;
