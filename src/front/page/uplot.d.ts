/** The plotting library as it stands beside the page: the build copies it from its package (`npm run page`). */
export { default } from 'uplot';
